//! One purchase on a running Shop, from the outside: real HTTP through the ingress, and the cluster only where a person would
//! look too (the mail in a log, the first admin in a Secret, the trace in the trace store).
//!
//! `purchase` says what happens in which order; `shop` speaks HTTP, one method a route; `cluster` asks Kubernetes; `mail` and
//! `trace` read what they bring.

pub mod cluster;
pub mod mail;
pub mod purchase;
pub mod shop;
pub mod trace;

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

/// Where a Shop runs, as `cargo xtask env` exports it.
#[derive(Clone, Debug)]
pub struct Target {
    /// `SHOP_URL`: the Shop as its buyers reach it, without a trailing slash.
    pub url: String,
    /// The host that the ingress knows the Shop by, where it is not the one in the URL.
    pub host: Option<String>,
    /// `SHOP_NAMESPACE`: where its objects are.
    pub namespace: String,
    /// `SHOP_NAME`: the name of its Shop resource.
    pub shop: String,
}

impl Target {
    /// Reads the three variables; kube reads `KUBECONFIG` itself.
    pub fn from_env() -> anyhow::Result<Self> {
        let url = variable("SHOP_URL")?.trim_end_matches('/').to_owned();
        Ok(Self { url, host: None, namespace: variable("SHOP_NAMESPACE")?, shop: variable("SHOP_NAME")? })
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set; start a Shop with `cargo xtask up`, then `eval \"$(cargo xtask env)\"`")
    })
}

/// What has been seen so far of something that is waited for.
pub enum Seen<T> {
    /// It is there.
    Done(T),
    /// Not yet; the text says what is there instead.
    NotYet(String),
}

const POLL: Duration = Duration::from_millis(100);

/// Looks again and again until it is there; after `patience` the error says what was seen last.
pub async fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Seen<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match look().await? {
            Seen::Done(value) => return Ok(value),
            Seen::NotYet(instead) if Instant::now() >= deadline => {
                bail!("{what}: not within {} s; last seen: {instead}", patience.as_secs());
            }
            Seen::NotYet(_) => sleep(POLL).await,
        }
    }
}
