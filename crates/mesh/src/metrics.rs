//! What the mesh counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shop_telemetry::metrics::Metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

/// Connections and calls that were refused for who made them; a clone counts into the same.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Family<What, Counter>);

impl Refusals {
    /// Counts into the process's metrics from now on.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let refusals = Self::default();
        let help = "gRPC connections and calls refused for who made them";
        metrics.register(|registry| registry.register("mesh_refused", help, refusals.0.clone()));
        refusals
    }

    pub(crate) fn connection(&self) {
        self.0.get_or_create(&What { what: "connection" }).inc();
    }

    pub(crate) fn call(&self) {
        self.0.get_or_create(&What { what: "call" }).inc();
    }
}
