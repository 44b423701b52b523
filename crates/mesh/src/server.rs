//! Server side: a tonic server whose calls continue the caller's trace, within the limits of the process.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use shop_telemetry::Carrier;
use tonic::{service::Routes, transport::Server};
use tower::{
    Layer, Service,
    layer::util::{Identity, Stack},
};
use tracing::{
    Span,
    instrument::{Instrument as _, Instrumented},
};

use crate::{AuthorizeLayer, ServerMetrics, deadline::DeadlineLayer, measure::MeasureLayer};

/// A client reconnects after this long, and finds pods that came since.
const MAX_CONNECTION_AGE: Duration = Duration::from_mins(5);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// No call of ours takes longer, whatever its caller says; a client that went away without a word does not keep its work alive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls at once on one connection; a neighbour has one connection to each pod.
const MAX_STREAMS: u32 = 128;
/// Calls that a client may take back before anybody looked at them; then it is cut off (CVE-2023-44487, "rapid reset"). As many
/// as there are calls: a neighbour that gives up on all of them at once does nothing wrong.
const MAX_RESETS: usize = MAX_STREAMS as usize;
/// Tokens and trace context; all metadata of a call.
const MAX_METADATA: u32 = 16 * 1024;
/// The largest message a service reads: an order of 100 lines with the longest names fits three times.
pub const LARGEST_MESSAGE: usize = 256 * 1024;

/// What a service answers to over gRPC.
pub struct Grpc {
    /// Its methods.
    pub routes: Routes,
    /// Paths of the methods that a checkout needs, such as `/shop.catalog.v1.CatalogService/ReserveStock`: under load they are
    /// refused last.
    pub checkout: &'static [&'static str],
}

/// A tonic server with the mesh's layers.
pub type GrpcServer =
    Server<Stack<AuthorizeLayer, Stack<DeadlineLayer, Stack<MeasureLayer, Stack<TraceLayer, Identity>>>>>;

/// The server every service adds its gRPC services to. With an identity it answers only whom the table of edges names. Not
/// set is `max_connection_age_grace`: with it tonic 0.14 skips the friendly end of a connection. The limit on resets by
/// ourselves is set because tonic's default is none. Tonic drops the work for a call whose `grpc-timeout` is over.
#[must_use]
pub fn server(identity: Option<&crate::Identity>, metrics: ServerMetrics) -> GrpcServer {
    Server::builder()
        .max_connection_age(MAX_CONNECTION_AGE)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_RESETS))
        .http2_max_header_list_size(MAX_METADATA)
        .timeout(REQUEST_TIMEOUT)
        .layer(TraceLayer)
        .layer(MeasureLayer(metrics.clone()))
        .layer(DeadlineLayer { latest: REQUEST_TIMEOUT })
        .layer(AuthorizeLayer::new(identity, metrics))
}

/// Runs each call in a span that continues the caller's trace.
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer;

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct Trace<S>(S);

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = server_span(&request);
        let call = span.in_scope(|| self.0.call(request));
        call.instrument(span)
    }
}

fn server_span<B>(request: &Request<B>) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    let span = tracing::info_span!(
        "grpc",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
    );
    let headers = request.headers();
    Carrier::read(|name| headers.get(name).and_then(|value| value.to_str().ok())).parent_of(&span);
    span
}
