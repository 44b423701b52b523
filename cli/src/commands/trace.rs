//! `trace`: what happened to an order.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;
use shop_trace::QUERY_PORT;
use shopkeeper_operator::{catalog::TRACES, crd::Shop};
use uuid::Uuid;

use crate::{
    cluster::{Cluster, of_component},
    forward,
    output::{Output, Shown, TITLE, View, styled},
};

/// The services that name the order in their spans, the first to see it first.
const SERVICES: [&str; 4] = ["product", "order", "payment", "delivery"];

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper trace 01890a5d-ac96-774b-bcce-b302099a8057
  kubectl shopkeeper trace 01890a5d-ac96-774b-bcce-b302099a8057 -o json";

/// Which order.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Trace {
    /// The order's id, as the checkout answered it.
    order: Uuid,
    /// Name of the Shop. Default: the only one in the namespace.
    #[arg(long)]
    shop: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Trace {
    /// Asks the Shop's trace store.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Shown> {
        let shop = cluster.shop(self.shop.as_deref()).await?;
        let name = shop.name_any();
        if shop.spec.telemetry.embedded.is_none() {
            bail!("{name} has no trace store of its own: {}", instead(&shop, self.order));
        }
        let pod = cluster.running(&shop, "trace store", &of_component(&name, TRACES)).await?;
        let mut found = BTreeMap::new();
        for service in SERVICES {
            // The tag as Jaeger takes it: {"order.id":"..."}.
            let order = self.order;
            let path =
                format!("/api/traces?service={service}&tags=%7B%22order.id%22%3A%22{order}%22%7D&start=0&limit=20");
            let answer = forward::ask(&cluster.api(), &pod.name_any(), QUERY_PORT, &path).await;
            let answer = answer.with_context(|| format!("the trace store {}", pod.name_any()))?;
            let traces = shop_trace::parse(&answer).context("the trace store answered something unknown")?;
            found.extend(traces.into_iter().map(|trace| (trace.id.clone(), trace)));
        }
        if found.is_empty() {
            bail!(
                "the trace store of {name} knows no order {}: spans arrive some seconds after the fact, it keeps the \
                 latest traces in memory only, and telemetry.sampling is {}",
                self.order,
                shop.spec.telemetry.sampling
            );
        }
        let mut traces: Vec<shop_trace::Trace> = found.into_values().collect();
        traces.sort_by_key(|trace| trace.spans.first().map(|span| span.started));
        Ok(self.output.of(Traces(traces)))
    }
}

fn instead(shop: &Shop, order: Uuid) -> String {
    match &shop.spec.telemetry.otlp {
        Some(otlp) => format!("look for the attribute order.id={order} in what {} feeds", otlp.endpoint),
        None => "its traces are switched off (spec.telemetry.disabled)".to_owned(),
    }
}

struct Traces(Vec<shop_trace::Trace>);

impl View for Traces {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.0)
    }

    fn text(&self, _: Timestamp) -> String {
        let one = |trace: &shop_trace::Trace| format!("{} {}\n{}", styled("trace", TITLE), trace.id, trace.tree());
        self.0.iter().map(one).collect::<Vec<_>>().join("\n")
    }
}
