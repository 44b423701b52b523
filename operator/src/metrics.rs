//! What the operator counts. Labels are words of the error type, so their number is bounded.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Counters and durations of reconciles.
pub struct Metrics {
    registry: Registry,
    reconciliations: Counter,
    errors: Family<Reason, Counter>,
    duration: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("shopkeeper");
        let reconciliations = Counter::default();
        let errors = Family::<Reason, Counter>::default();
        let duration = Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        registry.register("reconciliations", "Reconciles of Shops, failed ones included", reconciliations.clone());
        registry.register("reconciliation_errors", "Failed reconciles by reason", errors.clone());
        registry.register("reconcile_duration_seconds", "Duration of reconciles", duration.clone());
        Self { registry, reconciliations, errors, duration }
    }
}

impl Metrics {
    /// Counts one reconcile.
    pub fn reconciled(&self, duration: Duration, failure: Option<&'static str>) {
        self.reconciliations.inc();
        self.duration.observe(duration.as_secs_f64());
        if let Some(reason) = failure {
            self.errors.get_or_create(&Reason { reason }).inc();
        }
    }

    /// The metrics as Prometheus reads them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
