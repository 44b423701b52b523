//! From `main` to the end of the process: serve until a signal, drain, flush.

use std::{fs::OpenOptions, future::Future, io::Write as _, net::SocketAddr, process::ExitCode, time::Duration};

use axum::Router;
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;
use shop_config::{Listeners, Mesh};
use shop_mesh::{Grpc, Identity, Load, ShedLayer};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use utoipa_axum::router::OpenApiRouter;

use crate::{Host, http};

/// In-flight work gets this long after the signal; Kubernetes kills after 30 s, of which preStop takes 3.
const DRAIN: Duration = Duration::from_secs(20);

/// Where Kubernetes looks for a container's last word.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// One of the shop's services.
pub trait Service: 'static {
    /// Its name: in traces, logs, and queues.
    const NAME: &'static str;
    /// Its settings.
    type Config: DeserializeOwned + Send;

    /// Connects to every store ([`crate::reach`]), then creates or upgrades what the service keeps there. Runs in a Job before
    /// the rollout, and may run twice.
    fn migrate(config: Self::Config, host: &Host) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Wires the service together. Does not wait for stores: readiness does.
    fn build(config: Self::Config, host: &Host) -> impl Future<Output = anyhow::Result<Edge>> + Send;
}

/// What a service answers to.
#[derive(Default)]
pub struct Edge {
    /// The public API with its OpenAPI description.
    pub http: OpenApiRouter,
    /// gRPC methods, for the neighbours.
    pub grpc: Option<Grpc>,
}

/// Where a started service listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The public API.
    pub http: SocketAddr,
    /// Probes and metrics.
    pub admin: SocketAddr,
    /// gRPC, where the service has it.
    pub grpc: Option<SocketAddr>,
}

/// The whole of a service's `main`: `serve` (the default) or `migrate`.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    // redis and lapin ask the process for its TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    shop_auth::install_crypto();
    let command = std::env::args().nth(1);
    let outcome = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            let telemetry = shop_telemetry::init(S::NAME)?;
            let outcome = match command.as_deref() {
                None | Some("serve") => serve::<S>().await,
                Some("migrate") => migrate::<S>().await,
                Some(other) => Err(anyhow::anyhow!("unknown command `{other}`: write `serve` or `migrate`")),
            };
            if let Err(error) = &outcome {
                let cause = format!("{error:#}");
                tell_kubelet(&cause);
                tracing::error!(error.cause = cause, "the service ends");
            }
            telemetry.shutdown();
            outcome
        })
    });
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Leaves a last word in the pod's status, from where it gets into the Shop's. The file is only there in a pod.
fn tell_kubelet(cause: &str) {
    if let Ok(mut file) = OpenOptions::new().write(true).open(TERMINATION_LOG) {
        // The same stands in the log.
        let _ = file.write_all(cause.as_bytes());
    }
}

async fn migrate<S: Service>() -> anyhow::Result<()> {
    S::migrate(shop_config::load()?, &Host::system()).await?;
    tracing::info!("migrated");
    Ok(())
}

async fn serve<S: Service>() -> anyhow::Result<()> {
    let mut host = Host::system();
    if let Some(folder) = shop_config::load::<Mesh>()?.mesh_identity {
        let identity = Identity::follow(&folder)?;
        shop_mesh::show_expiry(identity.clone(), &host.metrics);
        host.identity = Some(identity);
    }
    let edge = S::build(shop_config::load()?, &host).await?;
    let addresses = start(edge, &host, &shop_config::load()?).await?;
    tracing::info!(http = %addresses.http, admin = %addresses.admin, "serving");
    ended().await?;
    host.health.drain();
    if timeout(DRAIN, host.stop()).await.is_err() {
        tracing::warn!("in-flight work was cut off after {DRAIN:?}");
    }
    Ok(())
}

/// Binds the listeners and serves `edge` in the background until the host stops.
pub async fn start(edge: Edge, host: &Host, listeners: &Listeners) -> anyhow::Result<Addresses> {
    let load = Load::new(host.limits.requests, &host.metrics);
    let (public, openapi) = http::public(edge.http, host.limits, load.clone(), &host.metrics);
    let admin = http::admin(host, &openapi)?;
    let http = bind(listeners.listen_http).await?;
    let probes = bind(listeners.listen_admin).await?;
    let grpc = match edge.grpc {
        Some(methods) => Some((bind(listeners.listen_grpc).await?, methods)),
        None => None,
    };
    let addresses = Addresses {
        http: http.local_addr()?,
        admin: probes.local_addr()?,
        grpc: grpc.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
    };
    let refused = Counter::default();
    host.metrics.register(|registry| {
        registry.register("http_connections_refused", "Connections over the limit, closed at once", refused.clone());
    });
    serve_http(host, http, public, refused.clone());
    serve_http(host, probes, admin, refused);
    if let Some((listener, methods)) = grpc {
        serve_grpc(host, listener, methods, load);
    }
    Ok(addresses)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
}

fn serve_http(host: &Host, listener: TcpListener, router: Router, refused: Counter) {
    // Outside the router, so that a path with a trailing slash is matched like the one without.
    http::serve(host, listener, http::without_trailing_slash(router), refused);
}

fn serve_grpc(host: &Host, listener: TcpListener, methods: Grpc, load: Load) {
    let Grpc { routes, checkout } = methods;
    let connections = shop_mesh::accept(listener, host.identity.clone(), host.served.clone());
    let server = shop_mesh::server(host.identity.as_ref(), host.served.clone())
        .layer(ShedLayer::new(load, checkout))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, host.shutdown.clone().cancelled_owned());
    host.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(error.cause = %error, "the gRPC server ended");
        }
    });
}

async fn ended() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
