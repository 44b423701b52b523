//! What the clock does to orders, as long as the process runs: those that nobody pays are canceled, and what has served is
//! swept.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{app::Orders, error::Error};

/// How late an order may expire.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// Works until `shutdown`.
pub async fn run(orders: Arc<Orders>, shutdown: CancellationToken) {
    tokio::join!(
        repeat("canceling unpaid orders", LOOK_EVERY, &shutdown, || orders.expire()),
        repeat("sweeping refused checkouts", SWEEP_EVERY, &shutdown, || orders.sweep()),
    );
}

/// Does `work` again and again: at once while it says there may be more, else after `pause`.
async fn repeat<F>(what: &str, pause: Duration, shutdown: &CancellationToken, work: impl Fn() -> F)
where
    F: Future<Output = Result<bool, Error>>,
{
    while !shutdown.is_cancelled() {
        match work().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error.cause = %error, "{what} failed; tried again in {pause:?}"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}
