//! The text format of OpenMetrics, as far as names, types and labels go.

use std::collections::{BTreeMap, BTreeSet};

/// Labels that belong to the type and not to the metric.
const OF_THE_TYPE: [&str; 1] = ["le"];
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];

/// One metric family.
#[derive(Debug, Default)]
pub struct Family {
    /// Its type.
    pub kind: String,
    /// The label names of its samples; one set, unless something is wrong.
    pub labels: BTreeSet<BTreeSet<String>>,
}

/// All families of a text, by name.
pub fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if !line.starts_with('#') && !line.is_empty() {
            let (name, labels) = sample(line);
            let family = std::iter::once(name)
                .chain(SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix)))
                .find(|name| families.contains_key(*name))
                .unwrap_or_else(|| panic!("a sample without a type: {line}"))
                .to_owned();
            families.entry(family).or_default().labels.insert(labels);
        }
    }
    families
}

/// Name and label names of a sample.
fn sample(line: &str) -> (&str, BTreeSet<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default(), BTreeSet::new());
    };
    // A label's value is quoted and may hold anything but a bare quote; its name stands before `="`.
    let (mut names, mut rest) = (BTreeSet::new(), rest);
    while let Some((label, after)) = rest.split_once("=\"") {
        let label = label.trim_start_matches(',');
        if !OF_THE_TYPE.contains(&label) {
            names.insert(label.to_owned());
        }
        let end = end_of_value(after);
        rest = &after[end..];
        if rest.starts_with('}') {
            break;
        }
    }
    (name, names)
}

/// Where what follows the closing quote begins.
fn end_of_value(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            '"' if !escaped => return at + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}
