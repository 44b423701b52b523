//! Client side: calls to neighbours that find a pod that answers, end in time, and do not take this process along when the
//! neighbour is in trouble.
//!
//! ```text
//! Peer (span, trace context) -> Edge (deadline, circuit, retries) -> pods (which one) -> a tonic channel for each pod
//!                                                                     ^ follow (DNS), canary (a share of the calls)
//! ```

mod canary;
mod circuit;
mod dice;
mod edge;
mod faults;
mod follow;
mod metrics;
mod pods;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{BoxFuture, FutureExt as _, TryFutureExt as _};
use http::{Request, Response, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use shop_config as config;
use shop_core::World;
use shop_telemetry::{Carrier, metrics::Metrics};
use tokio::sync::watch;
use tonic::{
    Status,
    body::Body,
    metadata::{Ascii, MetadataValue},
};
use tower::Service;
use tracing::{Instrument as _, Span, field::Empty};

use crate::Identity;
use canary::Canary;
use circuit::MOST;
use edge::Edge;
use follow::{Neighbour, dns, follow};
use metrics::ClientMetrics;

pub use follow::Resolve;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A neighbour's address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the address of a gRPC service: write http://host:port")]
pub struct BadAddress(String);

/// The calling side of a service.
pub struct Mesh {
    caller: &'static str,
    identity: Option<Identity>,
    world: Arc<dyn World>,
    metrics: ClientMetrics,
}

/// A way to a neighbour; give it to a generated client. A clone is the same way.
#[derive(Clone)]
pub struct Peer {
    edge: Arc<Edge>,
    host: Arc<str>,
}

impl Mesh {
    /// The calling side of the service `caller`, with mutual TLS when it has an identity.
    #[must_use]
    pub fn new(caller: &'static str, identity: Option<Identity>, world: Arc<dyn World>, metrics: &Metrics) -> Self {
        Self { caller, identity, world, metrics: ClientMetrics::register(metrics) }
    }

    /// A way to `service`. With mutual TLS its certificate must be for the host in its URL. Connecting happens in the background:
    /// a neighbour that is not there yet is no error.
    pub fn connect(&self, service: &'static str, settings: &config::Peer) -> Result<Peer, BadAddress> {
        self.connect_by(service, settings, dns)
    }

    /// The same where `resolve` tells the addresses of a host.
    pub fn connect_by<R: Resolve>(
        &self,
        service: &'static str,
        settings: &config::Peer,
        resolve: R,
    ) -> Result<Peer, BadAddress> {
        let (host, port) = address(&settings.url)?;
        let metrics = self.metrics.edge(self.caller, service);
        let (identity, resolve) = (self.identity.clone(), Arc::new(resolve));
        let count = metrics.endpoints.clone();
        let neighbour = Neighbour { host: host.clone(), port, known_as: host.clone(), identity, count, resolve };
        let (announce_canary, canary) = watch::channel(Canary::default());
        if let Some(config::Canary { url, weight_file }) = &settings.canary {
            let (host, port) = address(url)?;
            let other = Neighbour { host, port, count: metrics.canary_endpoints.clone(), ..neighbour.clone() };
            let (file, shown) = (weight_file.clone(), metrics.canary_weight.clone());
            tokio::spawn(canary::follow(other, file, shown, announce_canary));
        }
        let (announce, pods) = watch::channel([].into());
        tokio::spawn(follow(neighbour, announce));
        let between = (self.caller, service);
        let edge = Edge::new(between, settings, (pods, canary), Arc::clone(&self.world), (metrics, MOST));
        Ok(Peer { edge: Arc::new(edge), host: host.into() })
    }
}

fn address(url: &str) -> Result<(String, u16), BadAddress> {
    let bad = || BadAddress(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    Ok((uri.host().ok_or_else(bad)?.to_owned(), uri.port_u16().ok_or_else(bad)?))
}

impl Peer {
    /// Ends once the neighbour has had an address: calls made earlier wait, and fail when it takes too long.
    pub fn found(&self) -> impl Future<Output = ()> + Send + use<> {
        self.edge.found()
    }
}

/// A request made for a user: it carries the user's token, and the neighbour verifies it again.
pub fn for_caller<T>(message: T, token: &SecretString) -> Result<tonic::Request<T>, Status> {
    let mut request = tonic::Request::new(message);
    let value: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
        .parse()
        .map_err(|_| Status::unauthenticated("the access token is not ASCII"))?;
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let span = client_span(&request, &self.host);
        for (name, value) in Carrier::of(&span).headers() {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
        let (edge, recorded) = (Arc::clone(&self.edge), span.clone());
        async move {
            let failed = |status: Status| {
                recorded.record("otel.status_code", "ERROR");
                BoxError::from(status)
            };
            edge.call(request).map_err(failed).await
        }
        .instrument(span)
        .boxed()
    }
}

/// Names and attributes follow OpenTelemetry's semantic conventions for gRPC (release candidate, 1.38).
fn client_span(request: &Request<Body>, host: &str) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    tracing::info_span!(
        "grpc",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        server.address = host,
    )
}
