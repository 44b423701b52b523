//! Removes what has expired: refresh tokens and their marks, links of mails, attempts to send them. Nothing depends on when:
//! every query checks the time itself.

use std::{sync::Arc, time::Duration};

use shop_core::World;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{metrics::UserMetrics, store::Store};

const EVERY: Duration = Duration::from_mins(10);
/// What has expired stays for this long: clocks of replicas differ, and a copy of a token that comes back is still known.
const KEEP: Duration = Duration::from_hours(24);

/// Sweeps at the start and then every ten minutes until `shutdown`. Replicas may do it at the same time.
pub(crate) async fn sweep(store: Store, world: Arc<dyn World>, metrics: UserMetrics, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match store.sweep(world.now() - KEEP).await {
            Ok(0) => {}
            Ok(removed) => {
                metrics.swept(removed);
                continue;
            }
            Err(error) => tracing::warn!(error.cause = %error, "what has expired stays for another {EVERY:?}"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(EVERY) => {}
        }
    }
}
