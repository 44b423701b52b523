//! What a search query asks for: every word of it, or a stem of the word, or a word that is one slip of the finger away.

use std::fmt::Write as _;

/// One word of a query, and what counts as that word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it was written.
    pub typed: String,
    /// Its stems in English; none for a word such as `the`.
    pub stems: Vec<String>,
    /// Words of the catalog that share a deletion with it; not all of them are near.
    pub candidates: Vec<String>,
}

/// A query in PostgreSQL's `tsquery` notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Only the words and their stems: what ranks high.
    pub exact: String,
    /// Near words too: what is found at all.
    pub wide: String,
}

/// The query for `words`, `None` when there is no word in it.
#[must_use]
pub fn terms(mut words: Vec<Word>) -> Option<Terms> {
    // A word everybody uses decides nothing, unless there is no other.
    if words.iter().any(|word| !word.stems.is_empty()) {
        words.retain(|word| !word.stems.is_empty());
    }
    if words.is_empty() {
        return None;
    }
    let mut terms = Terms { exact: String::new(), wide: String::new() };
    for word in &words {
        let stems = word.stems.iter().filter(|stem| **stem != word.typed);
        let exact: Vec<&str> = std::iter::once(&word.typed).chain(stems).map(String::as_str).collect();
        let near = word.candidates.iter().map(String::as_str).filter(|candidate| is_near(&word.typed, candidate));
        and_any(&mut terms.exact, exact.iter().copied());
        and_any(&mut terms.wide, exact.iter().copied().chain(near));
    }
    Some(terms)
}

fn and_any<'a>(query: &mut String, alternatives: impl Iterator<Item = &'a str>) {
    query.push_str(if query.is_empty() { "(" } else { " & (" });
    for (index, word) in alternatives.enumerate() {
        let separator = if index == 0 { "" } else { " | " };
        // In a tsquery a quoted word ends at a quote that is not doubled.
        let quoted = word.replace('\\', "\\\\").replace('\'', "''");
        // Writing to a string does not fail.
        let _ = write!(query, "{separator}'{quoted}'");
    }
    query.push(')');
}

/// Whether two different words are one edit (a letter more, less or another) or one swapped pair of neighbours apart.
#[must_use]
pub fn is_near(a: &str, b: &str) -> bool {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let same_start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - same_end], &b[..b.len() - same_end]);
    match (a, b) {
        ([_], [] | [_]) | ([], [_]) => true,
        ([a1, a2], [b1, b2]) => a1 == b2 && a2 == b1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_edit_or_one_swapped_pair_is_near_and_more_is_not() {
        for near in ["bluetoth", "bluettooth", "bluetoozh", "bleutooth", "luetooth", "bluetooths", "lbuetooth"] {
            assert!(is_near("bluetooth", near), "{near}");
        }
        for far in ["bluetooth", "blutoth", "bluetohto", "buletoohh", "tooth", ""] {
            assert!(!is_near("bluetooth", far), "{far}");
        }
    }

    #[test]
    fn every_word_is_wanted_in_one_of_its_forms() {
        let words = vec![
            Word {
                typed: "runing".into(),
                stems: vec!["rune".into()],
                candidates: vec!["running".into(), "ruin".into()],
            },
            Word { typed: "the".into(), stems: vec![], candidates: vec![] },
            Word { typed: "o'neil".into(), stems: vec!["o'neil".into()], candidates: vec![] },
        ];
        let terms = terms(words).unwrap();
        assert_eq!(terms.exact, "('runing' | 'rune') & ('o''neil')");
        assert_eq!(terms.wide, "('runing' | 'rune' | 'running') & ('o''neil')");
    }

    #[test]
    fn common_words_count_when_there_are_no_others() {
        let who = Word { typed: "who".into(), stems: vec![], candidates: vec![] };
        assert_eq!(terms(vec![who]).unwrap().wide, "('who')");
        assert_eq!(terms(vec![]), None);
    }

    /// What of a query is outside of its quoted words; `None` when a quote stays open.
    fn outside_quotes(query: &str) -> Option<String> {
        let (mut outside, mut inside) = (String::new(), false);
        let mut chars = query.chars();
        while let Some(char) = chars.next() {
            match (inside, char) {
                (true, '\\') => {
                    chars.next()?;
                }
                (_, '\'') => inside = !inside,
                (false, char) => outside.push(char),
                (true, _) => {}
            }
        }
        (!inside).then_some(outside)
    }

    proptest! {
        #[test]
        fn no_word_can_leave_its_quotes(typed in prop::collection::vec("[a'\\\\|&:*() ]{1,8}|\\PC{1,8}", 1..4)) {
            let word = |typed: String| Word { stems: vec![typed.clone()], candidates: vec![format!("{typed}s")], typed };
            let terms = terms(typed.into_iter().map(word).collect()).unwrap();
            for query in [terms.exact, terms.wide] {
                let outside = outside_quotes(&query).ok_or_else(|| TestCaseError::fail(query.clone()))?;
                prop_assert!(outside.chars().all(|char| "()&| ".contains(char)), "{}", query);
            }
        }

        #[test]
        fn nearness_is_mutual_and_a_letter_more_is_near(word in "[a-z\u{e9}]{1,12}", place in 0_usize..12, letter in "[a-z]", other in "[a-z]{1,12}") {
            let mut longer: Vec<char> = word.chars().collect();
            longer.insert(place.min(longer.len()), letter.chars().next().unwrap());
            let longer: String = longer.into_iter().collect();
            prop_assert!(is_near(&word, &longer) && is_near(&longer, &word));
            prop_assert_eq!(is_near(&word, &other), is_near(&other, &word));
        }
    }
}
