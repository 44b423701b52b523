//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>) and Baggage (<https://www.w3.org/TR/baggage/>) of a span, as text
//! that any transport or table row can hold.

use std::sync::LazyLock;

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const NAMES: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Whatever comes in goes on to every row and message of its trace, so what is longer is dropped.
const MAX_ADDITION: usize = 512;

static PROPAGATOR: LazyLock<TextMapCompositePropagator> = LazyLock::new(|| {
    TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())])
});

/// `traceparent`, `tracestate` and `baggage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carrier {
    /// Trace id, parent span id and flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendors' additions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// What whoever began the trace wants all to know who work for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
}

impl Carrier {
    /// The context of the current span, for whatever leaves this process now.
    #[must_use]
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// The context of `span`.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let mut carrier = Self::default();
        PROPAGATOR.inject_context(&span.context(), &mut carrier);
        carrier.tracestate = carrier.tracestate.filter(|state| !state.is_empty());
        carrier.baggage = carrier.baggage.filter(|baggage| !baggage.is_empty());
        carrier
    }

    /// Reads the headers through `get`.
    #[must_use]
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let addition = |name| get(name).filter(|text| text.len() <= MAX_ADDITION).map(str::to_owned);
        Self {
            traceparent: get("traceparent").map(str::to_owned),
            tracestate: addition("tracestate"),
            baggage: addition("baggage"),
        }
    }

    /// The headers there are, for a transport.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES.into_iter().filter_map(|name| Some((name, self.get(name)?)))
    }

    /// Makes `span` a child of this context. Only a span that has not been entered can still change its parent.
    pub fn parent_of(&self, span: &Span) {
        if self.traceparent.is_some() {
            let context = PROPAGATOR.extract_with_context(&Context::new(), self);
            // The only failures are a disabled span and telemetry that is off; both have no parent to set.
            let _ = span.set_parent(context);
        }
    }

    /// Links `span` to this context: related work that is not its parent, for instance a retry.
    pub fn link_to(&self, span: &Span) {
        let context = PROPAGATOR.extract_with_context(&Context::new(), self);
        span.add_link(context.span().span_context().clone());
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = Some(value),
            "tracestate" => self.tracestate = Some(value),
            "baggage" => self.baggage = Some(value),
            _ => {}
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            "baggage" => self.baggage.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        NAMES.to_vec()
    }
}

/// The trace id of the current span, 32 hexadecimal digits; `None` outside a trace.
#[must_use]
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a process that is handed `carrier` hands on.
    fn handed_on(carrier: &Carrier) -> Carrier {
        let mut next = Carrier::default();
        PROPAGATOR.inject_context(&PROPAGATOR.extract_with_context(&Context::new(), carrier), &mut next);
        next
    }

    #[test]
    fn baggage_is_handed_on_and_too_much_of_it_is_dropped() {
        let with = |baggage: &str| {
            let carrier = Carrier::read(|name| (name == "baggage").then_some(baggage));
            handed_on(&carrier).baggage.filter(|baggage| !baggage.is_empty())
        };
        assert_eq!(with("synthetic=true").as_deref(), Some("synthetic=true"));
        assert_eq!(with(&format!("synthetic={}", "x".repeat(MAX_ADDITION))), None);
    }

    proptest! {
        #[test]
        fn a_good_context_is_handed_on_as_it_came(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let traceparent = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
            let carrier = Carrier::read(|name| (name == "traceparent").then_some(traceparent.as_str()));
            prop_assert_eq!(handed_on(&carrier).traceparent, Some(traceparent));
        }

        #[test]
        fn any_other_text_is_no_context_and_harms_nobody(
            traceparent in prop_oneof!["\\PC{0,80}", "[0-9a-f-]{50,60}", "ff-[0-9a-f]{32}-[0-9a-f]{16}-01"],
            tracestate in prop_oneof!["\\PC{0,1000}", "([a-z]{0,9}=[a-z]{0,9},?){0,80}"],
        ) {
            let carrier = Carrier::read(|name| Some(if name == "traceparent" { &traceparent } else { &tracestate }));
            prop_assert!(carrier.tracestate.as_ref().is_none_or(|state| state.len() <= MAX_ADDITION));
            carrier.parent_of(&Span::none());
            carrier.link_to(&Span::none());
            let next = handed_on(&carrier);
            prop_assert!(next.traceparent.is_none_or(|next| next.len() == 55));
        }
    }
}
