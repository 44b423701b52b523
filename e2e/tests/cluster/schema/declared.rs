//! `crates/telemetry/schema.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

const TEXT: &str = include_str!("../../../../crates/telemetry/schema.yaml");

/// Everything that is declared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// By name, without the suffixes of samples.
    pub metrics: BTreeMap<String, Metric>,
    /// By name; `{}` stands for a part that differs.
    pub spans: BTreeMap<String, SpanKind>,
}

/// One metric.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who emits it.
    pub by: BTreeSet<String>,
    /// Names of its labels.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    #[serde(rename = "help")]
    _help: String,
}

/// One kind of span.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanKind {
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Who emits it.
    pub by: BTreeSet<String>,
    /// What it may carry.
    pub attributes: BTreeSet<String>,
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

    /// The metrics of one service.
    pub fn metrics_of(&self, service: &str) -> impl Iterator<Item = &str> {
        let its = move |(_, metric): &(&String, &Metric)| metric.by.contains(service);
        self.metrics.iter().filter(its).map(|(name, _)| name.as_str())
    }

    /// The kind of a span with this name. The most exact one, where several fit.
    pub fn span(&self, name: &str) -> Option<(&str, &SpanKind)> {
        let fitting = self.spans.iter().filter(|(pattern, _)| fits(pattern, name));
        fitting.max_by_key(|(pattern, _)| pattern.len()).map(|(pattern, kind)| (pattern.as_str(), kind))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once("{}") {
        None => pattern == name,
        Some((start, end)) => {
            name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}
