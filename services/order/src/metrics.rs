//! What happens to orders, in numbers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shop_telemetry::metrics::Metrics;

use crate::domain::{Decision, Event, Reason, Status};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MoveLabels {
    to: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    event: &'static str,
    why: &'static str,
}

/// Counters; a clone counts into the same.
#[derive(Clone, Default)]
pub struct OrderMetrics {
    moves: Family<MoveLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
}

impl OrderMetrics {
    /// Counters that `/metrics` shows.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let new = Self::default();
        metrics.register(|registry| {
            registry.register("order_moves", "Steps of orders, by new status and reason", new.moves.clone());
            let help = "Events that changed nothing: handled before, or older than what is known";
            registry.register("order_events_dropped", help, new.dropped.clone());
        });
        new
    }

    /// An order arrived at `to`.
    pub fn moved(&self, to: Status, reason: Reason) {
        self.moves.get_or_create(&MoveLabels { to: to.as_str(), reason: reason.as_str() }).inc();
    }

    /// What became of an order, once it is committed.
    pub fn decided(&self, event: Event, decision: &Decision) {
        match decision {
            Decision::Moves(moves) => moves.iter().for_each(|step| self.moved(step.to, step.reason)),
            Decision::Payment(_) => {}
            Decision::Ignored => self.dropped(event, "older"),
            Decision::Refused => self.dropped(event, "refused"),
        }
    }

    /// The same message came twice.
    pub fn duplicate(&self, event: Event) {
        self.dropped(event, "duplicate");
    }

    fn dropped(&self, event: Event, why: &'static str) {
        self.dropped.get_or_create(&DropLabels { event: event.as_str(), why }).inc();
    }
}
