//! Work that time brings about, as long as the process runs.

use std::{future::Future, time::Duration};

use shop_core::Fault;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The longest pause after a failure: most often the database was away for a moment.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Does `work` again and again until `shutdown`: at once while it says that there may be more, else after `pause`.
pub async fn repeat<F, E>(what: &str, pause: Duration, shutdown: &CancellationToken, work: impl Fn() -> F)
where
    F: Future<Output = Result<bool, E>>,
    E: Into<Fault>,
{
    while !shutdown.is_cancelled() {
        let pause = match work().await {
            Ok(true) => continue,
            Ok(false) => pause,
            Err(error) => {
                let (fault, pause) = (error.into(), pause.min(AFTER_FAILURE));
                let cause = fault.cause().unwrap_or_default();
                tracing::warn!(error.cause = cause, "{what} failed, tried again in {pause:?}: {fault}");
                pause
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}
