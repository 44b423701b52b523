//! Rules that values from outside keep, the same over HTTP and gRPC, and whoever tells which of them were broken.

use std::{fmt, ops::RangeInclusive};

use uuid::Uuid;

use crate::{Fault, FieldError};

/// The most characters of a telephone number.
const MAX_PHONE: usize = 40;

/// A rule that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Short stable name of the rule.
    pub rule: &'static str,
    /// What is wrong with the value and what to write instead.
    pub message: String,
}

/// `rule: message`.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.message)
    }
}

fn broken(rule: &'static str, message: impl Into<String>) -> Result<(), Broken> {
    Err(Broken { rule, message: message.into() })
}

/// One line of text: something to see, at most `most` characters, none that break the line or reorder it.
pub fn line(text: &str, most: usize) -> Result<(), Broken> {
    let text = text.trim();
    if text.chars().all(is_invisible) {
        return broken("required", "must not be blank");
    }
    if text.chars().count() > most {
        return broken("length", format!("must have at most {most} characters"));
    }
    if text.chars().any(|c| c.is_control() || reorders(c)) {
        return broken("characters", "must not have control characters");
    }
    Ok(())
}

/// Text of several lines, or none: of the control characters only those of line ends and tabs.
pub fn paragraphs(text: &str, most: usize) -> Result<(), Broken> {
    if text.chars().count() > most {
        return broken("length", format!("must have at most {most} characters"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return broken("characters", "must not have control characters");
    }
    Ok(())
}

/// A telephone number as people write it.
pub fn phone(text: &str) -> Result<(), Broken> {
    line(text, MAX_PHONE)?;
    let known = |c: char| c.is_ascii_digit() || " +-().,/#*x".contains(c);
    if text.trim().chars().all(known) && text.contains(|c: char| c.is_ascii_digit()) {
        Ok(())
    } else {
        broken("phone", "must be a telephone number, for instance +44 20 7946 0000")
    }
}

/// A secret of ours on its way back: visible ASCII characters, at most `most`.
pub fn token(text: &str, most: usize) -> Result<(), Broken> {
    if text.is_empty() {
        return broken("required", "must not be empty");
    }
    if text.len() > most {
        return broken("length", format!("must have at most {most} characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return broken("characters", "must have visible ASCII characters only");
    }
    Ok(())
}

/// Nothing to see, though Unicode does not call all of them blank.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{FEFF}')
}

/// Makes one text look like another: separators of lines, and what overrides the direction of writing.
fn reorders(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The rules a message broke so far: its sender is told all of them, not only the first.
#[derive(Debug, Default)]
pub struct Rules(Vec<FieldError>);

impl Rules {
    /// `field` breaks `rule`.
    pub fn broken(&mut self, field: &str, rule: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.to_owned(), rule: rule.to_owned(), message: message.into() });
    }

    /// `field` keeps a rule of this module, or not.
    pub fn keeps(&mut self, field: &str, outcome: Result<(), Broken>) {
        if let Err(Broken { rule, message }) = outcome {
            self.broken(field, rule, message);
        }
    }

    /// `field` is an id.
    pub fn uuid(&mut self, field: &str, text: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(text).ok();
        if id.is_none() {
            self.broken(field, "uuid", "must be a UUID");
        }
        id
    }

    /// `field` is a number within `range`.
    pub fn range(&mut self, field: &str, value: i64, range: &RangeInclusive<i64>) {
        if !range.contains(&value) {
            self.broken(field, "range", format!("must be {} to {}", range.start(), range.end()));
        }
    }

    /// `field` is a list of so many; whether it is.
    pub fn count(&mut self, field: &str, count: usize, range: &RangeInclusive<usize>) -> bool {
        let fits = range.contains(&count);
        if !fits {
            self.broken(field, "length", format!("must have {} to {} entries", range.start(), range.end()));
        }
        fits
    }

    /// A fault that names every broken rule, if there is one.
    pub fn kept(self) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        let told = self.0.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>();
        Err(Fault::invalid(told.join("; ")).with_fields(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(outcome: Result<(), Broken>) -> &'static str {
        outcome.err().map_or("kept", |broken| broken.rule)
    }

    #[test]
    fn a_line_has_something_to_see_and_counts_characters_and_not_bytes() {
        for blank in ["", "   ", "\u{200B}", " \u{2060}\u{FEFF} ", "\u{AD}"] {
            assert_eq!(rule(line(blank, 9)), "required", "{blank:?}");
        }
        for fine in ["Ada", " Ada ", "Zoë", "шшшшшшшшш", "山田太郎", "می\u{200C}خواهم", "👩\u{200D}👩\u{200D}👧"]
        {
            assert_eq!(rule(line(fine, 9)), "kept", "{fine:?}");
        }
        assert_eq!(rule(line("шшшшшшшшшш", 9)), "length");
    }

    #[test]
    fn a_line_neither_breaks_nor_turns_around() {
        for hostile in ["a\0b", "a\nb", "a\u{7F}", "a\u{85}b", "a\u{2028}b", "a\u{202E}b", "a\u{2066}b"] {
            assert_eq!(rule(line(hostile, 9)), "characters", "{hostile:?}");
        }
    }

    #[test]
    fn paragraphs_may_break_and_be_empty_and_have_no_other_control_characters() {
        assert_eq!(rule(paragraphs("a\r\n\tlamp", 9)), "kept");
        assert_eq!(rule(paragraphs("", 9)), "kept");
        assert_eq!(rule(paragraphs("a\0", 9)), "characters");
        assert_eq!(rule(paragraphs("0123456789", 9)), "length");
    }

    #[test]
    fn a_telephone_number_is_what_people_write_and_no_other_text() {
        for fine in ["1", "+44 20 7946 0000", "(020) 7946-0000", "020/7946.0000x12", " 112 "] {
            assert_eq!(rule(phone(fine)), "kept", "{fine:?}");
        }
        for none in ["call me", "+", "<b>1</b>", "1\u{661}"] {
            assert_eq!(rule(phone(none)), "phone", "{none:?}");
        }
        assert_eq!(rule(phone(&"1".repeat(41))), "length");
    }

    #[test]
    fn a_token_is_visible_ascii() {
        assert_eq!(rule(token("abc-_.~", 9)), "kept");
        assert_eq!((rule(token("", 9)), rule(token("0123456789", 9))), ("required", "length"));
        for text in ["a b", "a\0", "ш"] {
            assert_eq!(rule(token(text, 9)), "characters", "{text:?}");
        }
    }

    #[test]
    fn all_broken_rules_are_told_together() {
        let mut rules = Rules::default();
        rules.uuid("id", "x");
        rules.range("quantity", 0, &(1..=9));
        rules.keeps("name", line("", 9));
        assert!(!rules.count("lines", 0, &(1..=9)));
        let fault = rules.kept().unwrap_err();
        let fields: Vec<_> = fault.fields().iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["id", "quantity", "name", "lines"]);
        assert!(Rules::default().kept().is_ok());
    }
}
