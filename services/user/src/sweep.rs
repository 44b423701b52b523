//! Removes tokens that have expired. Nothing depends on when: every query checks the time itself.

use std::{sync::Arc, time::Duration};

use shop_core::World;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

const EVERY: Duration = Duration::from_hours(1);

/// Sweeps every hour until `shutdown`. Replicas may do it at the same time.
pub(crate) async fn sweep(store: Store, world: Arc<dyn World>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep(EVERY) => {}
        }
        match store.sweep(world.now()).await {
            Ok(removed) => tracing::debug!(removed, "swept expired tokens"),
            Err(error) => tracing::warn!(error.cause = %error, "expired tokens stay for another hour"),
        }
    }
}
