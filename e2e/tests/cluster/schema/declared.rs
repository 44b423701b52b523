//! `crates/telemetry/schema.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use shop_e2e::trace::Span;

const TEXT: &str = include_str!("../../../../crates/telemetry/schema.yaml");

/// Everything that is declared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// By name, without the suffixes of samples.
    pub metrics: BTreeMap<String, Metric>,
    /// Every kind of span.
    pub spans: Vec<SpanKind>,
}

/// One metric.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names of its labels.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// Whether it is only there when something was counted.
    #[serde(default)]
    pub lazy: bool,
    /// Who emits it.
    pub by: BTreeSet<String>,
    #[serde(rename = "help")]
    _help: String,
}

/// One kind of span.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanKind {
    /// `{}` stands for what differs.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Who emits it.
    pub by: BTreeSet<String>,
    /// What it may carry.
    pub attributes: BTreeSet<String>,
    /// Whether it may well not be there.
    #[serde(default)]
    pub lazy: bool,
}

impl Schema {
    /// Reads it.
    pub fn read() -> Self {
        serde_saphyr::from_str(TEXT).expect("the schema can be read")
    }

    /// Everybody who emits metrics.
    pub fn services(&self) -> BTreeSet<&str> {
        self.metrics.values().flat_map(|metric| metric.by.iter().map(String::as_str)).collect()
    }

    /// The metrics that one service always has.
    pub fn constant_metrics_of(&self, service: &str) -> impl Iterator<Item = &str> {
        let its = move |(_, metric): &(&String, &Metric)| metric.by.contains(service) && !metric.lazy;
        self.metrics.iter().filter(its).map(|(name, _)| name.as_str())
    }

    /// Which kind a span is of: the most exact one, where several fit.
    pub fn kind_of(&self, span: &Span) -> Option<usize> {
        let fits = |kind: &SpanKind| {
            kind.kind == span.kind && kind.by.contains(&span.service) && fits(&kind.name, &span.operation)
        };
        let fitting = self.spans.iter().enumerate().filter(|(_, kind)| fits(kind));
        fitting.max_by_key(|(_, kind)| kind.name.len()).map(|(index, _)| index)
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once("{}") {
        None => pattern == name,
        Some((start, pattern)) => name.strip_prefix(start).is_some_and(|rest| {
            // What differs is never nothing.
            rest.char_indices().skip(1).map(|(at, _)| at).chain([rest.len()]).any(|at| fits(pattern, &rest[at..]))
        }),
    }
}
