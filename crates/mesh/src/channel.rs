//! Client side: one balanced channel a neighbour.
//!
//! A ClusterIP would pin an HTTP/2 connection to one pod, so the host is a headless Service: it is resolved again and
//! again, every address becomes an endpoint, and tonic balances over them by power of two choices.

use std::{
    collections::HashSet,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use http::{Request, Response, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use shop_telemetry::Carrier;
use tokio::{
    net::lookup_host,
    sync::{mpsc::Sender, watch},
    time::sleep,
};
use tonic::{
    Status,
    body::Body,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, channel::Change},
};
use tower::Service;
use tracing::{Instrument as _, Span, field::Empty};

use crate::Identity;

/// A call answers within this time or fails, wherever it hangs.
const DEADLINE: Duration = Duration::from_secs(5);
/// How soon a new or vanished pod is noticed.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);
const RESOLVE_AGAIN: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A neighbour's address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the address of a gRPC service: write http://host:port")]
pub struct BadAddress(String);

/// A balanced, traced channel to a neighbour; give it to a generated client. A clone is the same channel.
#[derive(Clone)]
pub struct Peer {
    channel: Channel,
    host: String,
    found: watch::Receiver<bool>,
}

impl Peer {
    /// Ends once the neighbour has had an address: calls made earlier fail, however healthy both are.
    pub fn found(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut found = self.found.clone();
        async move {
            // The other end is gone only when the channel is; nobody calls then.
            let _ = found.wait_for(|found| *found).await;
        }
    }
}

/// Opens a channel to `url`, with mutual TLS when this process has an identity: the neighbour's certificate must then be for the
/// host in `url`. Connecting happens in the background: a neighbour that is not there yet is no error.
pub fn connect(url: &str, identity: Option<&Identity>) -> Result<Peer, BadAddress> {
    let bad = || BadAddress(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().ok_or_else(bad)?.to_owned();
    let port = uri.port_u16().ok_or_else(bad)?;
    let (channel, changes) = Channel::balance_channel(64);
    let (announce, found) = watch::channel(false);
    let neighbour = Neighbour { host: host.clone(), port, identity: identity.cloned() };
    tokio::spawn(follow(neighbour, changes, announce));
    Ok(Peer { channel, host, found })
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

/// Whom a channel leads to, and as whom.
struct Neighbour {
    host: String,
    port: u16,
    identity: Option<Identity>,
}

/// Keeps the channel's endpoints equal to the neighbour's addresses until the channel is gone.
async fn follow(
    mut neighbour: Neighbour,
    changes: Sender<Change<SocketAddr, Endpoint>>,
    announce: watch::Sender<bool>,
) {
    let mut known = HashSet::new();
    loop {
        let pause = match lookup_host((neighbour.host.as_str(), neighbour.port)).await {
            Ok(found) => {
                let found: HashSet<SocketAddr> = found.collect();
                for change in neighbour.difference(&known, &found) {
                    if changes.send(change).await.is_err() {
                        return;
                    }
                }
                known = found;
                if !known.is_empty() {
                    announce.send_replace(true);
                }
                RESOLVE_EVERY
            }
            // A headless Service without a ready pod has no name. The endpoints stay: one that is dead is not chosen.
            Err(_) => RESOLVE_AGAIN,
        };
        tokio::select! {
            () = changes.closed() => return,
            () = sleep(pause) => {}
            // Every endpoint again, with the new certificate; calls under way end on the old connections.
            () = renewed(neighbour.identity.as_mut()) => known.clear(),
        }
    }
}

async fn renewed(identity: Option<&mut Identity>) {
    match identity {
        Some(identity) => identity.changed().await,
        None => std::future::pending().await,
    }
}

impl Neighbour {
    fn difference(
        &self,
        known: &HashSet<SocketAddr>,
        found: &HashSet<SocketAddr>,
    ) -> Vec<Change<SocketAddr, Endpoint>> {
        let gone = known.difference(found).map(|address| Change::Remove(*address));
        let new =
            found.difference(known).filter_map(|address| Some(Change::Insert(*address, self.endpoint(*address)?)));
        gone.chain(new).collect()
    }

    fn endpoint(&self, address: SocketAddr) -> Option<Endpoint> {
        let Some(identity) = &self.identity else {
            return Endpoint::from_shared(format!("http://{address}")).ok().map(tuned);
        };
        let secured = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(identity.current().client(&self.host)));
        match secured {
            Ok(endpoint) => Some(tuned(endpoint)),
            Err(error) => {
                tracing::error!(error.cause = %error, "no connection with this certificate");
                None
            }
        }
    }
}

/// Without these a dead pod keeps its endpoint, and requests to it hang until their deadline.
fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let span = client_span(&request, &self.host);
        for (name, value) in Carrier::of(&span).headers() {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
        let call = self.channel.call(request);
        let recorded = span.clone();
        async move {
            let outcome = match tokio::time::timeout(DEADLINE, call).await {
                Ok(outcome) => outcome.map_err(BoxError::from),
                Err(_) => Err(Status::deadline_exceeded(format!("no answer within {DEADLINE:?}")).into()),
            };
            if outcome.is_err() {
                recorded.record("otel.status_code", "ERROR");
            }
            outcome
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
