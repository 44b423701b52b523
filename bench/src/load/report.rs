//! What a user reads at the end.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::audit::Orders;
use crate::record::{FlowSummary, Record, rate, table};

/// A load and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where it went.
    pub url: String,
    /// What it was.
    pub load: String,
    /// Of what its choices were made.
    pub seed: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// What did what was asked, a second.
    pub per_second: f64,
    /// What an open loop could not even send.
    pub unsent: u64,
    /// Each flow.
    pub flows: Vec<FlowSummary>,
    /// The orders.
    pub orders: Orders,
}

impl Report {
    /// Puts a run into numbers.
    pub fn new(
        url: String,
        load: String,
        seed: u64,
        (record, elapsed, unsent): (Record, Duration, u64),
        orders: Orders,
    ) -> Self {
        let flows = record.summaries(elapsed);
        let succeeded = flows.iter().map(FlowSummary::succeeded).sum();
        let per_second = rate(succeeded, elapsed);
        Self { url, load, seed, seconds: elapsed.as_secs_f64(), per_second, unsent, flows, orders }
    }

    /// Requests that failed, those over a rate limit apart.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.flows.iter().map(FlowSummary::failed).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, load, seed, seconds, per_second, unsent, flows, orders } = self;
        writeln!(f, "{url}: {load}, {seconds:.1} s, seed {seed}; {per_second:.1} requests/s succeeded")?;
        if *unsent > 0 {
            writeln!(f, "{unsent} requests could not be sent: all connections were waiting")?;
        }
        write!(f, "{}", table(flows))?;
        let Orders { accepted, delivered, canceled, unfinished, missing } = orders;
        write!(
            f,
            "orders: {accepted} accepted, {delivered} delivered, {canceled} canceled, {unfinished} unfinished, "
        )?;
        write!(f, "{missing} missing")
    }
}
