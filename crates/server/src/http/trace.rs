//! One span, one measurement and at most one log line for each HTTP request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method};
use prometheus_client::encoding::EncodeLabelSet;
use shop_core::{Fault, Kind};
use shop_telemetry::{
    Carrier,
    metrics::{DurationsBy, Exemplar, Metrics, durations_by},
};
use tracing::{Instrument as _, Span, field::Empty};

use super::problem::Logged;

/// A method nobody has heard of, as the semantic conventions write it.
const OTHER: &str = "_OTHER";
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

/// The histogram of all requests, by method, route and status.
#[derive(Clone)]
pub(super) struct HttpTrace(DurationsBy<Labels>);

impl HttpTrace {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let durations = durations_by();
        metrics.register(|registry| {
            let help = "Time to answer an HTTP request";
            registry.register("http_server_request_duration_seconds", help, durations.clone());
        });
        Self(durations)
    }
}

pub(super) async fn trace(State(metrics): State<HttpTrace>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    // An unmatched path is the client's text: as a label it would grow without bound.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = span(&request, method, &route);
    let mut response = next.run(request).instrument(span.clone()).await;

    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    if let Some(Logged(fault)) = response.extensions().get::<Logged>() {
        span.in_scope(|| log(fault, method, &route));
    }
    if let Some(id) = span.in_scope(shop_telemetry::trace_id).and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(TRACE_ID, id);
    }
    let durations = metrics.0.get_or_create(&Labels { method, route, status });
    durations.observe(started.elapsed().as_secs_f64(), Exemplar::of(&span), None);
    response
}

/// The methods of RFC 9110 and 5789. Any other is the client's text, and would be a new time series each.
fn known(method: &Method) -> &'static str {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// Names and attributes follow OpenTelemetry's semantic conventions for HTTP (stable since 1.23).
fn span(request: &Request, method: &str, route: &str) -> Span {
    let verb = if method == OTHER { "HTTP" } else { method };
    let span = tracing::info_span!(
        "http",
        otel.name = format!("{verb} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
    );
    let headers = request.headers();
    Carrier::read(|name| headers.get(name).and_then(|value| value.to_str().ok())).parent_of(&span);
    span
}

fn log(fault: &Fault, method: &str, route: &str) {
    let cause = fault.cause().unwrap_or_default();
    if fault.kind() == Kind::Internal {
        Span::current().record("otel.status_code", "ERROR");
        tracing::error!(error.code = fault.code(), error.cause = cause, method, route, "{fault}");
    } else if matches!(fault.kind(), Kind::Unavailable { .. }) {
        tracing::warn!(error.code = fault.code(), error.cause = cause, method, route, "{fault}");
    } else {
        tracing::debug!(error.code = fault.code(), error.cause = cause, method, route, "{fault}");
    }
}
