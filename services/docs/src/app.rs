//! Keeps the merged document up to date.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{config::Upstream, domain::merge, error::Error};

/// Until every service has been seen: how soon its pages appear after it came up.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// After that: a service's document changes when it is upgraded.
const REFRESH: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// Far above any document of ours.
const LARGEST_DOCUMENT: usize = 2 * 1024 * 1024;

/// The documents of all services. Kept as text: parsed they would take many times the memory.
pub struct Docs {
    client: Client<HttpConnector, Empty<Bytes>>,
    chapters: Vec<(Upstream, Option<Bytes>)>,
    merged: watch::Sender<Bytes>,
}

impl Docs {
    /// No document is known yet, and the merged one says so.
    pub fn new(upstreams: Vec<Upstream>) -> serde_json::Result<Self> {
        let chapters = upstreams.into_iter().map(|upstream| (upstream, None)).collect();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let docs = Self { client, chapters, merged: watch::Sender::new(Bytes::new()) };
        docs.publish()?;
        Ok(docs)
    }

    /// The merged document, now and later.
    pub fn document(&self) -> watch::Receiver<Bytes> {
        self.merged.subscribe()
    }

    /// Asks every service, again and again. What was seen once stays when a service is away.
    pub async fn follow(mut self) {
        loop {
            if self.refresh().await
                && let Err(error) = self.publish()
            {
                tracing::error!(error.cause = %error, "the merged document cannot be written");
            }
            let complete = self.chapters.iter().all(|(_, document)| document.is_some());
            sleep(if complete { REFRESH } else { LOOK_AGAIN }).await;
        }
    }

    /// Whether anything changed.
    async fn refresh(&mut self) -> bool {
        let mut changed = false;
        for (upstream, known) in &mut self.chapters {
            match fetch(&self.client, &upstream.document).await {
                Ok(document) if known.as_ref() == Some(&document) => {}
                Ok(document) => {
                    *known = Some(document);
                    changed = true;
                }
                Err(error) => tracing::debug!(error.cause = %error, upstream = upstream.name, "no document this time"),
            }
        }
        changed
    }

    fn publish(&self) -> serde_json::Result<()> {
        let read = |document: &Bytes| serde_json::from_slice::<Value>(document).ok();
        let chapters = self.chapters.iter();
        let chapters = chapters.map(|(upstream, known)| (upstream.name.as_str(), known.as_ref().and_then(read)));
        let merged = merge(chapters, env!("CARGO_PKG_VERSION"));
        self.merged.send_replace(serde_json::to_vec(&merged)?.into());
        Ok(())
    }
}

/// A document that is at least JSON.
async fn fetch(client: &Client<HttpConnector, Empty<Bytes>>, document: &Uri) -> Result<Bytes, Error> {
    let asking = async {
        let answer = client.get(document.clone()).await?;
        if answer.status() != StatusCode::OK {
            return Err(Error::Status(answer.status()));
        }
        Ok(Limited::new(answer.into_body(), LARGEST_DOCUMENT).collect().await?.to_bytes())
    };
    let text = timeout(PATIENCE, asking).await??;
    serde_json::from_slice::<&serde_json::value::RawValue>(&text)?;
    Ok(text)
}
