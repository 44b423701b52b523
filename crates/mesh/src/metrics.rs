//! What the mesh counts where it answers. What it counts where it calls is in `client/metrics.rs`.

use std::time::Instant;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shop_proto::edges::{EDGES, Edge};
use shop_telemetry::metrics::{DurationsBy, Exemplar, Metrics, durations_by};
use tonic::Code;
use tracing::Span;

const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

/// One kind of call and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Call {
    pub caller: &'static str,
    pub service: &'static str,
    pub method: &'static str,
    pub code: &'static str,
}

impl Call {
    /// A call that has begun. A method that the table of edges does not have is one of them all: names from outside would make
    /// metrics without end.
    pub(crate) fn new(caller: &'static str, service: &'static str, row: Option<&'static Edge>) -> Self {
        let method = row.map_or(UNKNOWN, |edge| edge.method.trim_start_matches('/'));
        // Whoever does not wait for an answer is gone.
        Self { caller, service, method, code: code_name(Code::Cancelled) }
    }

    /// A call that arrived.
    pub(crate) fn arrived(caller: &str, method: &str) -> Self {
        let row = EDGES.iter().find(|edge| edge.method == method);
        let caller = EDGES.iter().map(|edge| edge.caller).find(|known| *known == caller);
        Self::new(caller.unwrap_or(UNKNOWN), row.map_or(UNKNOWN, |edge| edge.service), row)
    }
}

/// Measures a call from now until it is dropped.
pub(crate) struct Stopwatch {
    pub call: Call,
    durations: DurationsBy<Call>,
    started: Instant,
    exemplar: Option<Exemplar>,
}

impl Stopwatch {
    pub(crate) fn start(call: Call, durations: &DurationsBy<Call>) -> Self {
        let exemplar = Exemplar::of(&Span::current());
        Self { call, durations: durations.clone(), started: Instant::now(), exemplar }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let durations = self.durations.get_or_create(&self.call);
        durations.observe(self.started.elapsed().as_secs_f64(), self.exemplar.take(), None);
    }
}

/// What a server counts: the calls it answered, and what it refused for who made it. A clone counts into the same.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    pub(crate) calls: DurationsBy<Call>,
    refused: Family<What, Counter>,
}

impl ServerMetrics {
    /// Counts into the process's metrics from now on.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let counts = Self { calls: durations_by(), refused: Family::default() };
        metrics.register(|registry| {
            let help = "gRPC connections and calls refused for who made them";
            registry.register("mesh_refused", help, counts.refused.clone());
            let help = "Time to answer a gRPC call";
            registry.register("rpc_server_call_duration_seconds", help, counts.calls.clone());
        });
        counts
    }

    pub(crate) fn connection_refused(&self) {
        self.refused.get_or_create(&What { what: "connection" }).inc();
    }

    pub(crate) fn call_refused(&self) {
        self.refused.get_or_create(&What { what: "call" }).inc();
    }
}

/// A status code's name in the specification.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
