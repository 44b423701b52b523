//! Work that time brings about, as long as the process runs.

use std::{future::Future, time::Duration};

use shop_core::Fault;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The longest pause after a failure: most often the database was away for a moment.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longer than a dozen statements may take. What takes longer waits for a server that is gone without a word.
const ROUND: Duration = Duration::from_mins(1);

/// Does `work` again and again until `shutdown`: at once while it says that there may be more, else after `pause`.
pub async fn repeat<F, E>(what: &str, pause: Duration, shutdown: &CancellationToken, work: impl Fn() -> F)
where
    F: Future<Output = Result<bool, E>>,
    E: Into<Fault>,
{
    while !shutdown.is_cancelled() {
        let round = timeout(ROUND, work()).await;
        let late = || Fault::unavailable("The database").caused_by(format!("no end within {ROUND:?}"));
        let pause = match round.map_or_else(|_| Err(late()), |outcome| outcome.map_err(Into::into)) {
            Ok(true) => continue,
            Ok(false) => pause,
            Err(fault) => {
                let pause = pause.min(AFTER_FAILURE);
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
