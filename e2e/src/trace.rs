//! The trace of what a test did, as soon as the trace store has all of it.

use std::time::Duration;

use anyhow::Context as _;
use shop_trace::QUERY_PORT;
pub use shop_trace::{Span, Trace};

use crate::{Seen, cluster::Cluster, wait_for};

const COMPONENT: &str = "traces";
/// Services send their spans every few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Gets a trace as soon as it is `complete`.
pub async fn fetch(cluster: &Cluster, id: &str, complete: impl Fn(&Trace) -> bool) -> anyhow::Result<Trace> {
    let path = format!("/api/traces/{id}");
    wait_for(&format!("the whole trace {id}"), PATIENCE, async || {
        // A trace of which nothing has arrived yet is an error to the trace store.
        let text = match cluster.ask(COMPONENT, QUERY_PORT, &path).await {
            Ok(text) => text,
            Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
        };
        let trace = parse(&text)?.into_iter().next().unwrap_or_default();
        Ok(if complete(&trace) { Seen::Done(trace) } else { Seen::NotYet(format!("\n{}", trace.tree())) })
    })
    .await
}

/// The latest traces that a service took part in.
pub async fn recent(cluster: &Cluster, service: &str) -> anyhow::Result<Vec<Trace>> {
    let path = format!("/api/traces?service={service}&limit=200&lookback=1h");
    parse(&cluster.ask(COMPONENT, QUERY_PORT, &path).await?)
}

fn parse(text: &str) -> anyhow::Result<Vec<Trace>> {
    shop_trace::parse(text).context("the trace store answered something unknown")
}
