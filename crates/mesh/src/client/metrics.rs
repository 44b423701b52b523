//! What a process counts about the calls it makes.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shop_telemetry::metrics::{DurationsBy, Metrics, durations_by};

use crate::metrics::Call;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    caller: &'static str,
    service: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithReason {
    caller: &'static str,
    service: &'static str,
    reason: &'static str,
}

/// The metrics of all edges of a process.
#[derive(Clone, Debug)]
pub(super) struct ClientMetrics {
    calls: DurationsBy<Call>,
    in_flight: Family<Labels, Gauge>,
    refused: Family<WithReason, Counter>,
    open: Family<Labels, Gauge>,
    retries: Family<Labels, Counter>,
    exhausted: Family<Labels, Counter>,
    endpoints: Family<Labels, Gauge>,
    ejections: Family<Labels, Counter>,
    canary_weight: Family<Labels, Gauge>,
    canary_endpoints: Family<Labels, Gauge>,
    canary_tries: Family<Labels, Counter>,
}

/// Those of one edge.
#[derive(Clone, Debug)]
pub(super) struct EdgeMetrics {
    pub calls: DurationsBy<Call>,
    /// The metric is the count: there is no other that it could disagree with.
    pub in_flight: Gauge<i64, AtomicI64>,
    /// Calls refused because too many were under way.
    pub full: Counter,
    /// Calls refused because the circuit was open.
    pub broken: Counter,
    pub open: Gauge,
    pub retries: Counter,
    pub exhausted: Counter,
    pub endpoints: Gauge,
    pub ejections: Counter,
    pub canary_weight: Gauge,
    pub canary_endpoints: Gauge,
    pub canary_tries: Counter,
}

impl ClientMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let all = Self {
            calls: durations_by(),
            in_flight: Family::default(),
            refused: Family::default(),
            open: Family::default(),
            retries: Family::default(),
            exhausted: Family::default(),
            endpoints: Family::default(),
            ejections: Family::default(),
            canary_weight: Family::default(),
            canary_endpoints: Family::default(),
            canary_tries: Family::default(),
        };
        metrics.register(|registry| {
            let help = "Time until a gRPC call was answered, tries included";
            registry.register("rpc_client_call_duration_seconds", help, all.calls.clone());
            registry.register("mesh_calls_in_flight", "Calls to a neighbour under way", all.in_flight.clone());
            registry.register("mesh_calls_refused", "Calls that were not even tried", all.refused.clone());
            registry.register("mesh_circuit_open", "Whether a neighbour is left alone for now", all.open.clone());
            registry.register("mesh_retries", "Tries after the first one of a call", all.retries.clone());
            let help = "Tries that were left out because there had been too many";
            registry.register("mesh_retry_budget_exhausted", help, all.exhausted.clone());
            registry.register("mesh_endpoints", "Addresses of a neighbour", all.endpoints.clone());
            let help = "Times an address was left alone for having failed";
            registry.register("mesh_ejections", help, all.ejections.clone());
            let help = "Share of the calls that goes to another version of a neighbour, in percent";
            registry.register("mesh_canary_weight", help, all.canary_weight.clone());
            let help = "Addresses of another version of a neighbour";
            registry.register("mesh_canary_endpoints", help, all.canary_endpoints.clone());
            let help = "Tries that went to another version of a neighbour";
            registry.register("mesh_canary_tries", help, all.canary_tries.clone());
        });
        all
    }

    pub(super) fn edge(&self, caller: &'static str, service: &'static str) -> EdgeMetrics {
        let labels = Labels { caller, service };
        let refused = |reason| self.refused.get_or_create_owned(&WithReason { caller, service, reason });
        EdgeMetrics {
            calls: self.calls.clone(),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            full: refused("full"),
            broken: refused("open"),
            open: self.open.get_or_create_owned(&labels),
            retries: self.retries.get_or_create_owned(&labels),
            exhausted: self.exhausted.get_or_create_owned(&labels),
            endpoints: self.endpoints.get_or_create_owned(&labels),
            ejections: self.ejections.get_or_create_owned(&labels),
            canary_weight: self.canary_weight.get_or_create_owned(&labels),
            canary_endpoints: self.canary_endpoints.get_or_create_owned(&labels),
            canary_tries: self.canary_tries.get_or_create_owned(&labels),
        }
    }
}
