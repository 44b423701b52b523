//! A migration's first question: whether the stores are there.

use std::{fmt::Display, future::Future, time::Duration};

use anyhow::bail;
use tokio::time::{Instant, sleep};

/// The operator starts migrations when stores are ready, and starts a failed one again after a minute.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);
/// What reaches the Shop's status is short.
const CAUSE_CHARACTERS: usize = 200;

/// Asks until `store` answers. One that does not is named in the words in which the operator looks for it.
pub async fn reach<F, E>(store: &str, ask: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    reach_within(PATIENCE, store, ask).await
}

async fn reach_within<F, E>(patience: Duration, store: &str, ask: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let deadline = Instant::now() + patience;
    loop {
        match ask().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() < deadline => {
                tracing::info!(error.cause = %error, "waiting for {store}");
                sleep(PAUSE).await;
            }
            Err(error) => {
                let cause: String = error.to_string().chars().take(CAUSE_CHARACTERS).collect();
                bail!("cannot connect to {store}: {cause}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_store_that_comes_up_is_waited_for_and_one_that_stays_away_is_named() {
        let asked = AtomicU32::new(0);
        let third = async || if asked.fetch_add(1, Ordering::Relaxed) < 2 { Err("not yet") } else { Ok(()) };
        reach("redis", third).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);

        let away = async || Err::<(), _>("WRONGPASS");
        let error = reach_within(Duration::ZERO, "redis", away).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot connect to redis: WRONGPASS");
    }
}
