//! The figures, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::limits::Limit;
use crate::record::FlowSummary;

/// One measured flow.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// Where the clock starts and where it stops.
    pub span: &'static str,
    /// The load.
    pub load: String,
    /// Requests, errors, throughput, latency.
    #[serde(flatten)]
    pub summary: FlowSummary,
    /// Processor milliseconds of each service for one success.
    pub cpu_ms: BTreeMap<String, f64>,
    /// The same of each store.
    pub stores_cpu_ms: BTreeMap<String, f64>,
    /// What the services together should stay below.
    pub target_cpu_ms: Option<f64>,
    /// What the store alone does.
    pub limit: Option<Limit>,
}

/// A single number.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Number {
    /// What was measured.
    pub name: &'static str,
    /// From where to where, and under which load.
    pub span: String,
    /// The number.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What it should be: at least, or at most.
    pub target: Option<Target>,
    /// What the store alone does.
    pub limit: Option<Limit>,
}

/// What a number should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
        }
    }
}

/// One service's memory, in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// A second after it was ready.
    pub before: f64,
    /// At its highest.
    pub peak: f64,
    /// A few seconds after the last load.
    pub after: f64,
    /// From the start of the process until it was ready, in milliseconds.
    pub ready_after_ms: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// On what.
    pub machine: String,
    /// How the stores are set.
    pub stores: String,
    /// Whether the services exported traces.
    pub telemetry: String,
    /// Flows.
    pub flows: Vec<Figure>,
    /// Other numbers.
    pub numbers: Vec<Number>,
    /// Memory by service.
    pub memory: BTreeMap<String, Memory>,
    /// What could not be measured, and why.
    pub gaps: Vec<String>,
}

impl Figures {
    /// The tables.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{}\nstores: {}\ntelemetry: {}\n\n", self.machine, self.stores, self.telemetry);
        let _ = writeln!(
            text,
            "{:<24} {:>8} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7}",
            "flow", "ok/s", "failed", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "target", "store CPU", "limit/s", "ratio"
        );
        for figure in &self.flows {
            text += &figure.row();
        }
        text.push('\n');
        for figure in &self.flows {
            text += &figure.explanation();
        }
        text.push('\n');
        for number in &self.numbers {
            text += &number.row();
        }
        let _ = writeln!(text, "\n{:<10} {:>10} {:>10} {:>10} {:>10}", "MiB", "before", "peak", "after", "ready ms");
        for (service, memory) in &self.memory {
            let Memory { before, peak, after, ready_after_ms } = memory;
            let _ = writeln!(text, "{service:<10} {before:>10.1} {peak:>10.1} {after:>10.1} {ready_after_ms:>10.0}");
        }
        let idle: f64 = self.memory.values().map(|memory| memory.before).sum();
        let _ = writeln!(text, "{:<10} {idle:>10.1}   (target: below 20 each, 90 together)", "together");
        for gap in &self.gaps {
            let _ = writeln!(text, "not measured: {gap}");
        }
        text
    }
}

impl Figure {
    fn cpu(&self) -> f64 {
        self.cpu_ms.values().sum()
    }

    fn row(&self) -> String {
        let FlowSummary { per_second, p50_ms, p95_ms, p99_ms, .. } = self.summary;
        let (failed, cpu, stores) = (self.summary.failed(), self.cpu(), self.stores_cpu_ms.values().sum::<f64>());
        let target = self.target_cpu_ms.map_or_else(String::new, |target| format!("{target:.3}"));
        let limit = self.limit.as_ref().map_or_else(String::new, |limit| format!("{:.0}", limit.per_second));
        let ratio =
            self.limit.as_ref().map_or_else(String::new, |limit| format!("{:.2}", per_second / limit.per_second));
        format!(
            "{:<24} {per_second:>8.0} {failed:>7} {p50_ms:>8.2} {p95_ms:>8.2} {p99_ms:>8.2} {cpu:>8.3} {target:>8} \
             {stores:>9.3} {limit:>9} {ratio:>7}\n",
            self.name
        )
    }

    fn explanation(&self) -> String {
        let parts = |parts: &BTreeMap<String, f64>| {
            let worked = parts.iter().filter(|(_, cpu)| **cpu >= 0.0005);
            worked.map(|(name, cpu)| format!("{name} {cpu:.3}")).collect::<Vec<_>>().join(", ")
        };
        let (services, stores) = (parts(&self.cpu_ms), parts(&self.stores_cpu_ms));
        let limit = self.limit.as_ref().map_or_else(String::new, |limit| format!("; limit: {}", limit.what));
        let mut text =
            format!("{}: {}, {}; CPU ms: {services}; stores: {stores}{limit}\n", self.name, self.load, self.span);
        for (error, count) in &self.summary.errors {
            let _ = writeln!(text, "  {count} x {error}");
        }
        text
    }
}

impl Number {
    fn row(&self) -> String {
        let Self { name, span, value, unit, target, limit } = self;
        let target = match target {
            Some(Target::AtLeast(least)) => format!(", target at least {least}"),
            Some(Target::AtMost(most)) => format!(", target at most {most}"),
            None => String::new(),
        };
        let met = self.target.map_or("", |target| if target.is_met(self.value) { " (met)" } else { " (MISSED)" });
        let limit = limit.as_ref().map_or_else(String::new, |limit| {
            format!("; limit {:.0} by {}, ratio {:.2}", limit.per_second, limit.what, value / limit.per_second)
        });
        format!("{name}: {value:.2} {unit}{target}{met}; {span}{limit}\n")
    }
}
