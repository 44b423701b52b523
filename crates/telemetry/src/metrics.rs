//! Metrics in OpenMetrics text, scraped from `/metrics` of the admin port.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::{TraceId, trace::TraceContextExt as _};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{exemplar::HistogramWithExemplars, family::Family},
    registry::Registry,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The process's registry; a clone is the same registry.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Registers metrics; whoever owns them keeps the handles it made.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        // A panic while registering leaves a registry that is merely incomplete.
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything registered, as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

/// Durations in seconds, each bucket with the trace of one of them.
pub type Durations = HistogramWithExemplars<Exemplar>;

/// [`Durations`] for each set of labels.
pub type DurationsBy<L> = Family<L, Durations, fn() -> Durations>;

/// No durations yet; the buckets go from one millisecond to ten seconds.
#[must_use]
pub fn durations_by<L: Clone + std::hash::Hash + Eq>() -> DurationsBy<L> {
    const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    Family::new_with_constructor(|| HistogramWithExemplars::new(BUCKETS.into_iter()))
}

/// The trace that a measurement is part of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exemplar {
    trace_id: TraceLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TraceLabel(TraceId);

impl EncodeLabelValue for TraceLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

impl Exemplar {
    /// The trace of `span`; `None` when it is not sampled, because nobody could look it up.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context();
        span.is_sampled().then(|| Self { trace_id: TraceLabel(span.trace_id()) })
    }
}
