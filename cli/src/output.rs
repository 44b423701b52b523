//! Tables for people, JSON and YAML for programs.

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// What a command found.
pub trait View {
    /// All of it, for programs.
    fn value(&self) -> serde_json::Result<Value>;
    /// What a person wants to know. Colours are taken out again when nobody would see them.
    fn text(&self, now: Timestamp) -> String;
    /// What programs do not get, in words for whoever started them.
    fn left_out(&self) -> Option<String> {
        None
    }
    /// What the process ends with.
    fn exit_code(&self) -> u8 {
        0
    }
}

/// What a command found, and how it is written.
pub struct Shown {
    view: Box<dyn View>,
    format: Format,
}

/// The flag of every command that shows something.
#[derive(Args)]
pub struct Output {
    /// How to write what was found.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
}

impl Output {
    /// Something to show, in the format that was asked for.
    pub fn of(&self, view: impl View + 'static) -> Shown {
        Shown { view: Box::new(view), format: self.output }
    }
}

/// How it is written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What names the rest.
pub const TITLE: Style = Style::new().bold();
/// What will be different, or may have to be looked at.
pub const NEW: Style = AnsiColor::Yellow.on_default();
/// What is none of it.
pub const PLAIN: Style = Style::new();

impl Shown {
    /// Writes it to standard output, and tells what to end with.
    pub fn print(&self) -> anyhow::Result<u8> {
        anstream::print!("{}", self.written(Timestamp::now())?);
        if let Some(words) = self.left_out() {
            anstream::eprintln!("{words}");
        }
        Ok(self.view.exit_code())
    }

    /// Tables say it themselves.
    fn left_out(&self) -> Option<String> {
        match self.format {
            Format::Table => None,
            Format::Json | Format::Yaml => self.view.left_out(),
        }
    }

    fn written(&self, now: Timestamp) -> anyhow::Result<String> {
        Ok(match self.format {
            Format::Table => self.view.text(now),
            Format::Json => serde_json::to_string_pretty(&self.view.value()?)? + "\n",
            Format::Yaml => serde_saphyr::to_string(&self.view.value()?)?,
        })
    }
}

/// Text in a style.
pub fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Rows, under titles or not, as kubectl writes them.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table without rows yet.
    pub fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(|title| ((*title).to_owned(), TITLE)).collect()] }
    }

    /// Whether there is nothing under the titles.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Adds a row. What others wrote stays on its line, and does nothing to the terminal.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        let cells = cells.into_iter().map(|(cell, style)| (cell.replace(char::is_control, " "), style));
        self.rows.push(cells.collect());
    }

    /// The lines. Only the last column may be as long as it likes, and no line ends with blanks.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &self.rows {
            let end = row.iter().rposition(|cell| !cell.0.is_empty()).map_or(0, |last| last + 1);
            for (column, (cell, style)) in row[..end].iter().enumerate() {
                let gap = if column + 1 == end { 0 } else { widths[column] - cell.chars().count() + 3 };
                text += &styled(cell, *style);
                text += &" ".repeat(gap);
            }
            text.push('\n');
        }
        text
    }
}

/// How long ago, in the largest unit that says enough: `45s`, `12m`, `5h`, `3d`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    duration(now.duration_since(then))
}

/// A duration in the largest unit that says enough.
pub fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_colours_do_not_count() {
        let mut table = Table::new(&["SERVICE", "DEAD"]);
        table.row([("product".to_owned(), GOOD), ("12".to_owned(), BAD)]);
        table.row([("\u{e9}t\u{e9}".to_owned(), PLAIN), ("0".to_owned(), PLAIN)]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        assert_eq!(plain, "SERVICE   DEAD\nproduct   12\n\u{e9}t\u{e9}       0\n");
    }

    #[test]
    fn a_long_text_moves_what_is_beside_it_and_nothing_gets_out_of_its_line() {
        let mut table = Table::new(&["OBJECT", "MESSAGE"]);
        table.row([("Pod a-very-long-name".to_owned(), PLAIN), ("m".repeat(200), BAD)]);
        table.row([("Pod b".to_owned(), PLAIN), ("one\ntwo\u{1b}[2J".to_owned(), PLAIN)]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        let expected = format!(
            "OBJECT                 MESSAGE\nPod a-very-long-name   {}\nPod b                  one two [2J\n",
            "m".repeat(200)
        );
        assert_eq!(plain, expected);
    }

    /// Something with texts that YAML would take for something else.
    struct Tricky;

    impl View for Tricky {
        fn value(&self) -> serde_json::Result<Value> {
            Ok(json!({
                "text": ["no", "0123", "1e3", "null", "", "a: b # c", "- d", "one\ntwo\n", "\"quoted\" 'twice'"],
                "none": null, "nothing": [], "number": 1.5, "true": true,
            }))
        }

        fn text(&self, _: Timestamp) -> String {
            format!("{} and {}\n", styled("good", GOOD), styled("bad", BAD))
        }

        fn left_out(&self) -> Option<String> {
            Some("... and more".to_owned())
        }
    }

    fn shown(format: Format) -> Shown {
        Shown { view: Box::new(Tricky), format }
    }

    fn written(format: Format) -> String {
        shown(format).written(Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let value = Tricky.value().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written(Format::Json)).unwrap(), value);
        assert_eq!(serde_saphyr::from_str::<Value>(&written(Format::Yaml)).unwrap(), value);
    }

    #[test]
    fn what_programs_do_not_get_is_told_beside_what_they_read() {
        let beside = [Format::Table, Format::Json, Format::Yaml].map(|format| shown(format).left_out());
        assert_eq!(beside, [None, Some("... and more".to_owned()), Some("... and more".to_owned())]);
    }

    #[test]
    fn colours_are_in_a_table_and_go_when_nobody_would_see_them() {
        let table = written(Format::Table);
        assert_eq!(table, "\u{1b}[32mgood\u{1b}[0m and \u{1b}[31mbad\u{1b}[0m\n");
        assert_eq!(anstream::adapter::strip_str(&table).to_string(), "good and bad\n");
    }

    #[test]
    fn an_age_has_one_unit() {
        let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |seconds: i64| age(then, then + jiff::SignedDuration::from_secs(seconds));
        assert_eq!(
            [after(-5), after(119), after(3600), after(7200), after(200_000)],
            ["0s", "119s", "60m", "2h", "2d"]
        );
    }
}
