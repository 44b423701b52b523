//! Traces, logs and metrics: one initialisation, and W3C trace context in and out of anything that carries text.
//!
//! Spans go to the OTLP endpoint of the standard `OTEL_*` variables; without one nothing is exported, and trace ids still
//! exist, so answers and logs can name them. Logs are JSON lines on stdout.

mod carrier;
mod json;
pub mod metrics;
mod statements;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, SpanExporter};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_subscriber::{
    Layer as _,
    filter::{FilterExt as _, LevelFilter, Targets, dynamic_filter_fn, filter_fn},
    layer::{Filter, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

pub use carrier::{Carrier, trace_id};

/// The variable with the log filter.
pub const LOG: &str = "SHOP_LOG";

/// Every variable that is read here and by OpenTelemetry's libraries, as far as anybody sets it. Of some the libraries have no
/// constant.
pub const VARIABLES: [&str; 7] = [
    LOG,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS,
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// A span for one command to a store whose client makes none of its own. `summary` is the command and what it is about, of which
/// there are few: never a key or a value. Names and attributes follow OpenTelemetry's semantic conventions for database
/// clients (1.38). A command that belongs to nothing, such as a probe's, has none: it would be a trace of its own.
#[must_use]
pub fn command_span(system: &'static str, summary: &'static str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        "command",
        otel.name = summary,
        otel.kind = "client",
        db.system.name = system,
        db.query.summary = summary,
    )
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP endpoint's address or options cannot be used.
    #[error("the trace exporter cannot be built; check {endpoint}: {0}", endpoint = OTEL_EXPORTER_OTLP_ENDPOINT)]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The value of [`LOG`] is not a filter.
    #[error("{name} is not a log filter (write for instance `info` or `info,shop_order=debug`): {0}", name = LOG)]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody installed a subscriber before.
    #[error("telemetry was started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Running telemetry. [`Telemetry::shutdown`] sends what is still buffered.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Starts logs and traces for `service`. Must be called inside a Tokio runtime.
pub fn init(service: &'static str) -> Result<Telemetry, TelemetryError> {
    let mut provider =
        SdkTracerProvider::builder().with_resource(Resource::builder().with_service_name(service).build());
    if std::env::var_os(OTEL_EXPORTER_OTLP_ENDPOINT).is_some() {
        provider = provider.with_batch_exporter(SpanExporter::builder().with_tonic().build()?);
    }
    let provider = provider.build();

    // `EnvFilter` knows fields and spans too, for the price of a regex engine.
    let filter = std::env::var(LOG).unwrap_or_else(|_| "info".to_owned()).parse()?;
    let logs = tracing_subscriber::fmt::layer()
        .event_format(json::JsonLines { service })
        .with_filter(without_messages(filter));
    // Only our own spans become traces: the exporter's HTTP/2 client has spans too, and would trace itself. Dynamic, so that
    // the filter is asked for every span: with an answer that is remembered, a library that asks whether a level is enabled
    // and then logs nothing (sqlx does, at every statement) leaves its own answer behind for the thread's next span.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(
            dynamic_filter_fn(|metadata, _| metadata.is_span() && metadata.target().starts_with("shop"))
                .with_max_level_hint(LevelFilter::INFO),
        );
    let statements = statements::Statements(provider.tracer(service)).with_filter(
        dynamic_filter_fn(|metadata, _| statements::is_traced(metadata)).with_max_level_hint(LevelFilter::DEBUG),
    );
    tracing_subscriber::registry().with(traces).with(statements).with(logs).try_init()?;
    Ok(Telemetry { provider })
}

/// What `filter` lets through, but for what the AMQP client writes whole messages into, with buyers' names and addresses: its
/// warnings about those that came back, and everything below `info`.
fn without_messages<S: Subscriber>(filter: Targets) -> impl Filter<S> {
    let has_messages = |metadata: &Metadata<'_>| {
        let target = metadata.target();
        target.starts_with("lapin") && (target == "lapin::returned_messages" || *metadata.level() > Level::INFO)
    };
    filter.and(filter_fn(move |metadata| !has_messages(metadata)))
}

impl Telemetry {
    /// Sends what is buffered and stops. A collector that is away costs a log line, not an error.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(error.cause = %error, "some spans were not exported");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Event;
    use tracing_subscriber::{Layer, layer::Context, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<&'static str>>>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata().target());
        }
    }

    #[test]
    fn messages_do_not_get_into_the_log_whatever_its_level() {
        let heard = Heard::default();
        let layer = heard.clone().with_filter(without_messages("trace".parse().unwrap()));
        tracing::subscriber::with_default(registry().with(layer), || {
            tracing::warn!(target: "lapin::returned_messages", message = "{\"city\":\"Turin\"}");
            tracing::trace!(target: "lapin::channels", frame = "{\"city\":\"Turin\"}");
            tracing::error!(target: "lapin::io_loop", "error doing IO");
            tracing::trace!(target: "shop_order", "cart read");
        });
        assert_eq!(*heard.0.lock().unwrap(), ["lapin::io_loop", "shop_order"]);
    }
}
