//! W3C trace context, from whomever.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shop_telemetry::Carrier;
use tracing::Span;

fuzz_target!(|headers: (&str, &str)| {
    let (traceparent, tracestate) = headers;
    let carrier = Carrier::read(|name| Some(if name == "traceparent" { traceparent } else { tracestate }));
    carrier.parent_of(&Span::none());
    carrier.link_to(&Span::none());
});
