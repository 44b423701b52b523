//! The figures of the operator, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// In a few words.
    pub name: &'static str,
    /// Of what a figure says how many.
    pub unit: &'static str,
    /// From where to where, and how.
    pub span: &'static str,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// What it is.
    #[serde(flatten)]
    pub measure: Measure,
    /// The load.
    pub load: String,
    /// The number.
    pub value: f64,
    /// What it should not be above.
    pub at_most: Option<f64>,
    /// The value in proportion to that, unless that is nothing at all.
    pub ratio: Option<f64>,
    /// What else there is to say.
    pub note: String,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// On what.
    pub machine: String,
    /// In the order in which they were measured.
    pub figures: Vec<Figure>,
    /// What could not be measured, and why.
    pub gaps: Vec<String>,
}

impl Figure {
    /// A figure without a bound.
    #[must_use]
    pub fn new(measure: Measure, load: &str, value: f64) -> Self {
        Self { measure, load: load.to_owned(), value, at_most: None, ratio: None, note: String::new() }
    }

    /// With what it should not be above.
    #[must_use]
    pub fn at_most(self, bound: f64) -> Self {
        Self { at_most: Some(bound), ratio: (bound > 0.0).then(|| self.value / bound), ..self }
    }

    /// With something else to say.
    #[must_use]
    pub fn noting(self, note: String) -> Self {
        Self { note, ..self }
    }

    fn row(&self) -> String {
        let Self { measure: Measure { name, unit, .. }, load, value, at_most, ratio, note } = self;
        let bound = at_most.map_or_else(String::new, |bound| format!("{bound:.0}"));
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let missed = if at_most.is_some_and(|bound| *value > bound) { "MISSED" } else { "" };
        let row = format!("{name:<28} {load:<26} {value:>9.2} {unit:<13} {bound:>7} {ratio:>5}  {missed} {note}");
        format!("{}\n", row.trim_end())
    }
}

impl Figures {
    /// The table, and under it what each measure means.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.machine);
        let _ = writeln!(
            text,
            "{:<28} {:<26} {:>9} {:<13} {:>7} {:>5}",
            "figure", "load", "value", "unit", "at most", "ratio"
        );
        for figure in &self.figures {
            text += &figure.row();
        }
        text.push('\n');
        let mut explained = Vec::new();
        for Figure { measure, .. } in &self.figures {
            if !explained.contains(measure) {
                let _ = writeln!(text, "{}: {}", measure.name, measure.span);
                explained.push(*measure);
            }
        }
        for gap in &self.gaps {
            let _ = writeln!(text, "not measured: {gap}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure = Measure { name: "writes, idle", unit: "a minute", span: "counted" };

    #[test]
    fn a_figure_above_its_bound_says_so_even_where_the_bound_is_zero() {
        let figure = |value| Figure::new(MEASURE, "1 Shop", value);
        assert!(!figure(0.0).at_most(0.0).row().contains("MISSED"));
        assert!(figure(2.0).at_most(0.0).row().contains("MISSED"));
        assert_eq!(figure(2.0).at_most(0.0).ratio, None);
        assert_eq!(figure(2.0).at_most(4.0).ratio, Some(0.5));
    }

    #[test]
    fn a_measure_is_explained_once_for_all_its_loads() {
        let figures = ["1 Shop", "100 Shops"].map(|load| Figure::new(MEASURE, load, 0.0)).to_vec();
        let table = Figures { figures, ..Figures::default() }.table();
        assert_eq!(table.matches("writes, idle: counted").count(), 1);
        assert!(table.contains("100 Shops"));
    }
}
