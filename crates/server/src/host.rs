//! What a service finds around itself: the world, its health, its metrics, and a place for background work.

use std::{future::Future, sync::Arc};

use shop_core::{SystemWorld, World};
use shop_telemetry::metrics::Metrics;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Health;

/// Given to [`crate::Service::build`]; a clone is the same host.
#[derive(Clone)]
pub struct Host {
    /// Time, ids and randomness.
    pub world: Arc<dyn World>,
    /// What `/readyz` asks.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Cancelled when the process is to end: background work finishes its step and returns.
    pub shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Host {
    /// A host in `world`.
    #[must_use]
    pub fn new(world: Arc<dyn World>) -> Self {
        Self {
            world,
            health: Health::default(),
            metrics: Metrics::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The host of a real process.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(SystemWorld))
    }

    /// Runs background work until it returns; it has to watch [`Host::shutdown`].
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Ends background work and waits for it.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
