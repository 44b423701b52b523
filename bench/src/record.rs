//! What came of requests: how many, how they ended, how long they took.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use http::StatusCode;
use serde::Serialize;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With an answer of this HTTP status.
    Answered(u16),
    /// Without one in time.
    TimedOut,
    /// Without one: the connection was refused or cut.
    ConnectionLost,
    /// With an answer that is wrong, whatever its status says.
    Wrong,
}

impl From<StatusCode> for Outcome {
    fn from(status: StatusCode) -> Self {
        Self::Answered(status.as_u16())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "{status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::Wrong => f.write_str("wrong answer"),
        }
    }
}

impl Outcome {
    /// It did what was asked.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Answered(200..300))
    }

    /// Over a rate limit: the client's fault, and counted apart.
    #[must_use]
    pub const fn is_limited(self) -> bool {
        matches!(self, Self::Answered(429))
    }

    /// A refusal is quick and says nothing about how long the work takes; who got no answer waited in vain.
    const fn is_timed(self) -> bool {
        self.is_success() || matches!(self, Self::TimedOut | Self::ConnectionLost | Self::Wrong)
    }
}

#[derive(Debug, Default)]
struct Samples {
    /// Exact, at four bytes each: a run is bounded, so this is too.
    micros: Vec<u32>,
    outcomes: BTreeMap<Outcome, u64>,
}

/// The requests of a run, by flow.
#[derive(Debug, Default)]
pub struct Record {
    flows: BTreeMap<&'static str, Samples>,
}

/// One flow of a run, in numbers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSummary {
    /// The flow.
    pub flow: &'static str,
    /// All requests.
    pub requests: u64,
    /// Those over a rate limit.
    pub limited: u64,
    /// Those that failed, by status or reason.
    pub errors: BTreeMap<String, u64>,
    /// Successes a second.
    pub per_second: f64,
    /// Milliseconds that half of them stayed below.
    pub p50_ms: f64,
    /// 95 of a hundred.
    pub p95_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl FlowSummary {
    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// How many did what was asked.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.requests - self.limited - self.failed()
    }
}

impl Record {
    /// Adds one request.
    pub fn add(&mut self, flow: &'static str, outcome: Outcome, took: Duration) {
        let samples = self.flows.entry(flow).or_default();
        *samples.outcomes.entry(outcome).or_default() += 1;
        if outcome.is_timed() {
            samples.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Takes the requests of another record in.
    pub fn merge(&mut self, other: Self) {
        for (flow, samples) in other.flows {
            let mine = self.flows.entry(flow).or_default();
            mine.micros.extend(samples.micros);
            for (outcome, count) in samples.outcomes {
                *mine.outcomes.entry(outcome).or_default() += count;
            }
        }
    }

    /// All flows of a run that took `elapsed`.
    #[must_use]
    pub fn summaries(self, elapsed: Duration) -> Vec<FlowSummary> {
        self.flows.into_iter().map(|(flow, samples)| samples.summary(flow, elapsed)).collect()
    }
}

impl Samples {
    fn summary(mut self, flow: &'static str, elapsed: Duration) -> FlowSummary {
        self.micros.sort_unstable();
        let count = |wanted: fn(Outcome) -> bool| {
            self.outcomes.iter().filter(|(outcome, _)| wanted(**outcome)).map(|(_, count)| count).sum::<u64>()
        };
        let failures = self.outcomes.iter().filter(|(outcome, _)| !outcome.is_success() && !outcome.is_limited());
        FlowSummary {
            flow,
            requests: count(|_| true),
            limited: count(Outcome::is_limited),
            errors: failures.map(|(outcome, count)| (outcome.to_string(), *count)).collect(),
            per_second: rate(count(Outcome::is_success), elapsed),
            p50_ms: percentile(&self.micros, 50),
            p95_ms: percentile(&self.micros, 95),
            p99_ms: percentile(&self.micros, 99),
            max_ms: percentile(&self.micros, 100),
        }
    }
}

/// So many a second.
#[must_use]
pub fn rate(count: u64, elapsed: Duration) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if elapsed.is_zero() { 0.0 } else { count / elapsed.as_secs_f64() }
}

/// Milliseconds that `percent` of a hundred stayed below, of sorted microseconds (nearest rank).
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
}

/// The flows as people read them.
#[must_use]
pub fn table(flows: &[FlowSummary]) -> String {
    let mut text = format!(
        "{:<16} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
        "flow", "requests", "failed", "limited", "ok/s", "p50 ms", "p95 ms", "p99 ms", "max ms"
    );
    for flow in flows {
        let FlowSummary { flow: name, requests, limited, per_second, p50_ms, p95_ms, p99_ms, max_ms, .. } = flow;
        let failed = flow.failed();
        let _ = write!(text, "{name:<16} {requests:>9} {failed:>8} {limited:>8} {per_second:>9.1} {p50_ms:>9.2} ");
        let _ = writeln!(text, "{p95_ms:>9.2} {p99_ms:>9.2} {max_ms:>9.2}");
    }
    for flow in flows {
        for (error, count) in &flow.errors {
            let _ = writeln!(text, "  {}: {count} x {error}", flow.flow);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_over_what_was_done_and_what_was_waited_for_in_vain() {
        let mut record = Record::default();
        for millis in 1..=99 {
            record.add("get", Outcome::Answered(200), Duration::from_millis(millis));
        }
        record.add("get", Outcome::TimedOut, Duration::from_secs(10));
        record.add("get", Outcome::Answered(503), Duration::ZERO);
        record.add("get", Outcome::Answered(429), Duration::ZERO);
        let summary = record.summaries(Duration::from_secs(10)).remove(0);
        assert_eq!((summary.requests, summary.failed(), summary.limited, summary.succeeded()), (102, 2, 1, 99));
        assert_eq!((summary.p50_ms, summary.p99_ms, summary.max_ms), (50.0, 99.0, 10_000.0));
        assert!((summary.per_second - 9.9).abs() < 1e-9);
        assert_eq!(summary.errors["503"], 1);
    }

    #[test]
    fn a_flow_without_samples_has_no_percentiles_and_no_panic() {
        let mut record = Record::default();
        record.add("get", Outcome::Answered(503), Duration::ZERO);
        assert!(record.summaries(Duration::ZERO)[0].p99_ms <= 0.0);
    }
}
