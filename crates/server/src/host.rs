//! What a service finds around itself: the world, its health, its metrics, and a place for background work.

use std::{future::Future, sync::Arc, time::Duration};

use shop_core::{SystemWorld, World};
use shop_mesh::{Identity, Mesh, Peer, ServerMetrics};
use shop_telemetry::metrics::Metrics;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Health, Limits};

/// A service whose neighbour is away for longer serves the routes that do not need it.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_secs(30);

/// Given to [`crate::Service::build`]; a clone is the same host.
#[derive(Clone)]
pub struct Host {
    /// Time, ids and randomness.
    pub world: Arc<dyn World>,
    /// What `/readyz` asks.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// What the process takes on at once, and how patient it is.
    pub limits: Limits,
    /// Who the process is to its neighbours; without one gRPC is plain text.
    pub identity: Option<Identity>,
    /// What is counted where gRPC is answered.
    pub served: ServerMetrics,
    /// Cancelled when the process is to end: background work finishes its step and returns.
    pub shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Host {
    /// A host in `world`.
    #[must_use]
    pub fn new(world: Arc<dyn World>) -> Self {
        let metrics = Metrics::default();
        Self {
            world,
            health: Health::default(),
            limits: Limits::default(),
            identity: None,
            served: ServerMetrics::register(&metrics),
            metrics,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The host of a real process.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(SystemWorld))
    }

    /// The calling side of the service that is called `name`.
    #[must_use]
    pub fn mesh(&self, name: &'static str) -> Mesh {
        Mesh::new(name, self.identity.clone(), Arc::clone(&self.world), &self.metrics)
    }

    /// Runs background work until it returns; it has to watch [`Host::shutdown`].
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Not ready before the neighbour has been found, for half a minute at most: a service that starts together with its
    /// neighbours would refuse its first requests.
    pub fn meet(&self, name: &'static str, peer: &Peer) {
        let gate = self.health.gate(name);
        let found = peer.found();
        let shutdown = self.shutdown.clone();
        self.spawn(async move {
            tokio::select! {
                _ = timeout(NEIGHBOUR_PATIENCE, found) => gate.pass(),
                () = shutdown.cancelled() => {}
            }
        });
    }

    /// Ends background work and waits for it.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
