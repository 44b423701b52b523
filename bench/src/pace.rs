//! When requests are sent: one after the other (closed loop), or at a constant rate whatever comes of them (open loop).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::record::{Outcome, Record};

/// What is late by more than this when the time is over is not sent any more.
const LATEST: Duration = Duration::from_secs(30);

/// One connection's user.
pub trait Visitor: Send + 'static {
    /// Sends one request, the `ticket`th of the run; says which flow it was and how it ended.
    fn act(&mut self, ticket: u64) -> impl Future<Output = (&'static str, Outcome)> + Send;
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Requests a second, in an open loop; `None` is a closed one, in which each connection waits for its answer.
    pub per_second: Option<f64>,
    /// How long requests are begun.
    pub duration: Duration,
    /// No more than so many.
    pub requests: u64,
}

/// What a load came to.
pub struct Run<V> {
    /// Every request.
    pub record: Record,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Requests that an open loop should have sent and could not, because all connections were waiting.
    pub unsent: u64,
    /// The visitors, with what they remember.
    pub visitors: Vec<V>,
}

impl Plan {
    /// As it is named beside every figure.
    #[must_use]
    pub fn name(&self, connections: usize) -> impl fmt::Display + use<> {
        match self.per_second {
            None => format!("closed loop with {connections} connections"),
            Some(rate) => format!("open loop at {rate} requests a second over at most {connections} connections"),
        }
    }

    /// When the `ticket`th request has to start, after the first; `None` in a closed loop.
    fn due(&self, ticket: u64) -> Option<Duration> {
        let ticket = f64::from(u32::try_from(ticket).unwrap_or(u32::MAX));
        self.per_second.map(|rate| Duration::try_from_secs_f64(ticket / rate).unwrap_or(Duration::MAX))
    }

    /// How many requests an open loop has to send.
    fn promised(&self) -> u64 {
        (0..self.requests).take_while(|ticket| self.due(*ticket).is_some_and(|due| due < self.duration)).count() as u64
    }
}

/// Runs a load with one task for each visitor.
pub async fn run<V: Visitor>(plan: Plan, visitors: Vec<V>) -> Run<V> {
    let tickets = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for visitor in visitors {
        tasks.spawn(work(plan, start, Arc::clone(&tickets), visitor));
    }
    let mut run = Run { record: Record::default(), elapsed: Duration::ZERO, unsent: 0, visitors: Vec::new() };
    let mut sent = 0;
    // A visitor that panicked is missed: its requests are among the unsent.
    while let Some(finished) = tasks.join_next().await {
        if let Ok((visitor, record, requests)) = finished {
            run.record.merge(record);
            run.visitors.push(visitor);
            sent += requests;
        }
    }
    run.elapsed = start.elapsed();
    run.unsent = plan.promised().saturating_sub(sent);
    run
}

/// Takes tickets until there are none. In an open loop the latency counts from the moment the request was due: a server
/// that stalls is charged for everybody who had to wait, also for those who could not even ask.
async fn work<V: Visitor>(plan: Plan, start: Instant, tickets: Arc<AtomicU64>, mut visitor: V) -> (V, Record, u64) {
    let mut record = Record::default();
    let mut sent = 0;
    loop {
        let ticket = tickets.fetch_add(1, Ordering::Relaxed);
        let due = plan.due(ticket).unwrap_or_else(|| start.elapsed());
        if ticket >= plan.requests || due >= plan.duration || start.elapsed() > plan.duration + LATEST {
            return (visitor, record, sent);
        }
        let intended = start + due;
        sleep_until(intended).await;
        let (flow, outcome) = visitor.act(ticket).await;
        record.add(flow, outcome, intended.elapsed());
        sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(Duration);

    impl Visitor for Slow {
        async fn act(&mut self, _: u64) -> (&'static str, Outcome) {
            tokio::time::sleep(self.0).await;
            ("slow", Outcome::Answered(200))
        }
    }

    fn plan(per_second: Option<f64>, seconds: u64, requests: u64) -> Plan {
        Plan { per_second, duration: Duration::from_secs(seconds), requests }
    }

    #[tokio::test]
    async fn an_open_loop_charges_a_slow_server_for_those_who_wait_in_line() {
        let run = run(plan(Some(1_000.0), 1, 5), vec![Slow(Duration::from_millis(20))]).await;
        let summary = run.record.summaries(run.elapsed).remove(0);
        assert_eq!((summary.requests, run.unsent), (5, 0));
        // The fifth was due after 4 ms and began after the 80 ms that the four before it took.
        assert!(summary.max_ms >= 96.0, "{summary:?}");
    }

    #[tokio::test]
    async fn a_closed_loop_counts_from_when_a_request_was_sent_and_ends_with_the_number_of_requests() {
        let visitors = (0..2).map(|_| Slow(Duration::from_millis(1))).collect();
        let run = run(plan(None, 1_000_000, 7), visitors).await;
        let summary = run.record.summaries(run.elapsed).remove(0);
        assert_eq!((summary.requests, run.visitors.len(), run.unsent), (7, 2, 0));
    }

    #[test]
    fn an_open_loop_promises_what_is_due_within_its_time() {
        assert_eq!(plan(Some(10.0), 3, 1_000).promised(), 30);
        assert_eq!(plan(Some(10.0), 3, 20).promised(), 20);
        assert_eq!(plan(None, 3, 1_000).promised(), 0);
    }
}
