//! Readiness that names what is missing. Liveness asks nobody: a process that answers is alive.

use std::{
    fmt::Display,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _, join_all};
use tokio::time::timeout;

/// A store that does not answer within this time is away.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The checks of one process; a clone is the same set.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<(&'static str, Check)>>>,
    draining: Arc<AtomicBool>,
}

impl Health {
    /// Readiness asks `check` every time. For stores without which no request can be served.
    pub fn require<F, E>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let check: Check = Arc::new(move || {
            let check = check();
            async move {
                match timeout(CHECK_TIMEOUT, check).await {
                    Ok(outcome) => outcome.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("no answer within {CHECK_TIMEOUT:?}")),
                }
            }
            .boxed()
        });
        self.checks.write().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// A gate that is passed once and stays open: for what has to happen before the first request but may be away later.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate(Arc::default());
        let open = Arc::clone(&gate.0);
        self.require(name, move || {
            let passed = open.load(Ordering::Acquire);
            async move { if passed { Ok(()) } else { Err("not done yet") } }
        });
        gate
    }

    /// From now on the process is not ready, whatever the checks say.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What is missing, each as `name: reason`; empty when ready.
    pub async fn missing(&self) -> Vec<String> {
        if self.draining.load(Ordering::Acquire) {
            return vec!["shutting down".to_owned()];
        }
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let outcomes = join_all(checks.iter().map(|(name, check)| {
            let check = check();
            async move { check.await.err().map(|reason| format!("{name}: {reason}")) }
        }));
        outcomes.await.into_iter().flatten().collect()
    }
}

/// See [`Health::gate`].
#[derive(Clone)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Opens the gate for good.
    pub fn pass(&self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_names_what_is_missing_and_why() {
        let health = Health::default();
        health.require("postgres", || async { Err::<(), _>("connection refused") });
        let gate = health.gate("rabbitmq");
        assert_eq!(health.missing().await, ["postgres: connection refused", "rabbitmq: not done yet"]);
        gate.pass();
        assert_eq!(health.missing().await, ["postgres: connection refused"]);
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_reported_within_a_second() {
        let health = Health::default();
        health.require("redis", std::future::pending::<Result<(), String>>);
        assert_eq!(health.missing().await, ["redis: no answer within 1s"]);
    }

    #[tokio::test]
    async fn a_process_that_ends_is_not_ready() {
        let health = Health::default();
        health.drain();
        assert_eq!(health.missing().await, ["shutting down"]);
    }
}
