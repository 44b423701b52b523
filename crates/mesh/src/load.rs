//! How much a process works on at once, over HTTP and gRPC together. Over the limit a request is refused at once: a queue
//! would only make every answer late. Browsing is refused before checkouts are.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shop_core::{Fault, Kind};
use shop_telemetry::metrics::Metrics;

/// What is in flight is done within milliseconds; the client's other requests should be over by then too.
const COME_BACK: Duration = Duration::from_secs(1);

/// Who is refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Part of a checkout: may use every place.
    Checkout,
    /// Everything else: leaves a quarter of the places to checkouts.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    priority: &'static str,
}

/// The requests a process works on; a clone counts the same ones.
#[derive(Clone, Debug)]
pub struct Load {
    most: i64,
    /// The metric is the count: there is no other that it could disagree with.
    in_flight: Gauge<i64, AtomicI64>,
    shed: Family<Labels, Counter>,
}

/// A place among the requests that are worked on, until it is dropped.
#[derive(Debug)]
pub struct Permit(Gauge<i64, AtomicI64>);

impl Load {
    /// Room for `most` requests.
    #[must_use]
    pub fn new(most: u32, metrics: &Metrics) -> Self {
        let load = Self { most: i64::from(most), in_flight: Gauge::default(), shed: Family::default() };
        metrics.register(|registry| {
            registry.register("requests_in_flight", "Requests that are worked on now", load.in_flight.clone());
            registry.register("requests_shed", "Requests refused because of too many others", load.shed.clone());
        });
        load
    }

    /// A place for one more request, or the fault that refuses it.
    pub fn enter(&self, priority: Priority) -> Result<Permit, Fault> {
        let (most, priority) = match priority {
            Priority::Checkout => (self.most, "checkout"),
            Priority::Other => (self.most * 3 / 4, "other"),
        };
        let one_more = |now| (now < most).then_some(now + 1);
        if self.in_flight.inner().fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok() {
            return Ok(Permit(self.in_flight.clone()));
        }
        self.shed.get_or_create(&Labels { priority }).inc();
        Err(Fault::new(Kind::Unavailable { retry_after: COME_BACK }, "Too many requests at once, try again"))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_places_is_for_checkouts_and_a_place_that_is_left_is_free_again() {
        let load = Load::new(4, &Metrics::default());
        let mut inside: Vec<Permit> = (0..3).map(|_| load.enter(Priority::Other).unwrap()).collect();
        assert!(load.enter(Priority::Other).is_err());
        inside.push(load.enter(Priority::Checkout).unwrap());
        let fault = load.enter(Priority::Checkout).unwrap_err();
        assert_eq!(fault.kind(), Kind::Unavailable { retry_after: COME_BACK });
        inside.clear();
        assert!(load.enter(Priority::Other).is_ok());
    }
}
