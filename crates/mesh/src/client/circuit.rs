//! What keeps a neighbour in trouble from taking this process along: only so many calls wait for it at once, and when nothing
//! but failures comes back it is left alone for a while. Both refuse at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicI64, atomic::Ordering},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::metrics::EdgeMetrics;

/// Calls to one neighbour under way at once. Of the 128 requests a process works on, the rest is for what does not need that
/// neighbour: 16 places while all that is no checkout is refused at 96, and 48 for checkouts.
pub(super) const MOST: i64 = 80;
/// So many failed calls in a row, each after all its tries, and not one answer in between.
const ENOUGH: u32 = 16;
/// How long the neighbour is left alone; then one call finds out, and one more each time this has passed again.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Circuit {
    most: i64,
    state: Mutex<State>,
    metrics: EdgeMetrics,
}

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

/// A place among the calls under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Gauge<i64, AtomicI64>);

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many are under way.
    Full,
    /// The circuit is open.
    Open,
}

impl Circuit {
    pub(super) fn new(most: i64, metrics: EdgeMetrics) -> Self {
        Self { most, state: Mutex::default(), metrics }
    }

    /// A place for one more call.
    pub(super) fn enter(&self, now: Instant) -> Result<Place, Refusal> {
        let in_flight = &self.metrics.in_flight;
        let one_more = |calls| (calls < self.most).then_some(calls + 1);
        if in_flight.inner().fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            self.metrics.full.inc();
            return Err(Refusal::Full);
        }
        let place = Place(in_flight.clone());
        let mut state = self.state();
        match state.open_until {
            Some(until) if now < until => {
                self.metrics.broken.inc();
                Err(Refusal::Open)
            }
            Some(_) => {
                state.open_until = Some(now + PAUSE);
                Ok(place)
            }
            None => Ok(place),
        }
    }

    /// The neighbour answered a call, whatever it said. Says whether that closed the circuit.
    pub(super) fn answered(&self) -> bool {
        let mut state = self.state();
        state.failures = 0;
        let closes = state.open_until.take().is_some();
        if closes {
            self.metrics.open.set(0);
        }
        closes
    }

    /// A call failed. Says whether that opened the circuit.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let opens = state.failures >= ENOUGH && state.open_until.is_none();
        if opens {
            state.open_until = Some(now + PAUSE);
            self.metrics.open.set(1);
        }
        opens
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use shop_telemetry::metrics::Metrics;

    use super::{super::metrics::ClientMetrics, *};

    fn circuit(most: i64) -> Circuit {
        Circuit::new(most, ClientMetrics::register(&Metrics::default()).edge("cart", "product"))
    }

    #[test]
    fn a_call_too_many_is_refused_and_a_place_that_is_left_is_free_again() {
        let (circuit, now) = (circuit(2), Instant::now());
        let places = [circuit.enter(now).unwrap(), circuit.enter(now).unwrap()];
        assert_eq!(circuit.enter(now).unwrap_err(), Refusal::Full);
        drop(places);
        circuit.enter(now).unwrap();
    }

    #[test]
    fn after_failures_in_a_row_one_call_at_a_time_finds_out_and_an_answer_lets_all_through() {
        let (circuit, now) = (circuit(MOST), Instant::now());
        for _ in 1..ENOUGH {
            assert!(!circuit.failed(now));
        }
        circuit.enter(now).unwrap();
        assert!(circuit.failed(now));
        assert_eq!(circuit.enter(now).unwrap_err(), Refusal::Open);

        let later = now + PAUSE;
        circuit.enter(later).unwrap();
        assert_eq!(circuit.enter(later).unwrap_err(), Refusal::Open);
        assert!(!circuit.failed(later), "it is open already");
        let latest = later + PAUSE;
        circuit.enter(latest).unwrap();
        assert!(circuit.answered());
        circuit.enter(latest).unwrap();
        circuit.enter(latest).unwrap();
    }

    #[test]
    fn an_answer_in_between_makes_failures_no_row() {
        let (circuit, now) = (circuit(MOST), Instant::now());
        for _ in 0..4 * ENOUGH {
            assert!(!circuit.failed(now));
            circuit.answered();
        }
    }
}
