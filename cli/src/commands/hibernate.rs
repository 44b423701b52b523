//! `hibernate` and `wake`: stop a Shop and keep its data, and start it again.

use std::{pin::pin, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use shopkeeper_operator::crd::{Phase, Shop};

use crate::{
    cluster::Cluster,
    explain::explain,
    output::{GOOD, Output, Shown, View, styled},
};

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper hibernate            # returns at once
  kubectl shopkeeper wake demo --wait     # returns when the Shop is Ready
  kubectl shopkeeper wake demo --wait --timeout 2m";

/// Which Shop, and whether to wait.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Lifecycle {
    /// Name of the Shop. Default: the only one in the namespace.
    shop: Option<String>,
    /// Return when it is done, and tell on the way how far it is.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "10m", requires = "wait")]
    timeout: SignedDuration,
    #[command(flatten)]
    output: Output,
}

impl Lifecycle {
    /// Says in the Shop what it should be.
    pub async fn run(self, cluster: &Cluster, hibernated: bool) -> anyhow::Result<Shown> {
        let timeout = Duration::try_from(self.timeout).context("--timeout is a time to come, for example 10m")?;
        let shop = cluster.shop(self.shop.as_deref()).await?;
        let name = shop.name_any();
        if shop.spec.lifecycle.paused && self.wait {
            bail!("{name} is paused, so nothing would happen: set spec.lifecycle.paused to false first");
        }
        let changed = shop.spec.lifecycle.hibernated != hibernated;
        let mut generation = shop.metadata.generation;
        if changed {
            let patch = Patch::Merge(json!({"spec": {"lifecycle": {"hibernated": hibernated}}}));
            let patched = cluster.api::<Shop>().patch(&name, &PatchParams::default(), &patch).await;
            generation = patched.with_context(|| format!("the Shop {name} cannot be changed"))?.metadata.generation;
        }
        if self.wait {
            let waited = tokio::time::timeout(timeout, arrival(cluster, &name, generation, hibernated)).await;
            waited.map_err(|_| anyhow!("not within {:#}: {name} is on its way; see `status`", self.timeout))??;
        }
        Ok(self.output.of(Done { shop: name, hibernated, changed, waited: self.wait }))
    }
}

/// Watches the Shop until it is where it should be.
async fn arrival(cluster: &Cluster, name: &str, generation: Option<i64>, hibernated: bool) -> anyhow::Result<()> {
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = pin!(watcher(cluster.api::<Shop>(), only).default_backoff());
    let (mut there, mut told) = (false, String::new());
    let mut tell = |message: String| {
        if message != told && !message.is_empty() {
            anstream::eprintln!("{message}");
            told = message;
        }
    };
    while let Some(change) = changes.next().await {
        match change {
            Ok(Event::Apply(shop) | Event::InitApply(shop)) => {
                if shop.metadata.deletion_timestamp.is_some() {
                    bail!("{name} is being deleted");
                }
                if arrived(&shop, generation, hibernated) {
                    return Ok(());
                }
                there = true;
                tell(condition(&shop, "Ready").map(|ready| ready.message.clone()).unwrap_or_default());
            }
            Ok(Event::Init) => there = false,
            Ok(Event::InitDone) if there => {}
            Ok(Event::Delete(_) | Event::InitDone) => bail!("{name} was deleted"),
            // It is watched again, as long as there is time.
            Err(error) => tell(explain(error)),
        }
    }
    bail!("the watch of {name} ended")
}

/// Whether a status is about this generation, and says that nothing is left to do.
fn arrived(shop: &Shop, generation: Option<i64>, hibernated: bool) -> bool {
    let Some(status) = shop.status.as_ref().filter(|status| status.observed_generation >= generation) else {
        return false;
    };
    let is = |type_: &str, wanted: &str| condition(shop, type_).is_some_and(|found| found.status == wanted);
    if hibernated { status.phase == Some(Phase::Hibernated) && is("Progressing", "False") } else { is("Ready", "True") }
}

fn condition<'a>(shop: &'a Shop, type_: &str) -> Option<&'a Condition> {
    shop.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

#[derive(Serialize)]
struct Done {
    shop: String,
    hibernated: bool,
    changed: bool,
    waited: bool,
}

impl View for Done {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let Self { shop, hibernated, changed, waited } = self;
        let (verb, state) = if *hibernated { ("hibernate", "asleep") } else { ("wake", "awake") };
        match (changed, waited) {
            (_, true) if *hibernated => {
                format!("{shop} is {}: everything is stopped, the data is kept\n", styled("asleep", GOOD))
            }
            (_, true) => format!("{shop} is {}: it is Ready\n", styled("awake", GOOD)),
            (true, false) => format!("{shop} was told to {verb}; follow it with: kubectl shopkeeper status {shop}\n"),
            (false, false) => format!("{shop} is meant to be {state} already; nothing was changed\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(status: &Value) -> Shop {
        serde_json::from_value(json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn"}, "spec": {},
            "status": status,
        }))
        .unwrap()
    }

    fn conditions(ready: &str, progressing: &str) -> Value {
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": "R", "message": "",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        json!([condition("Ready", ready), condition("Progressing", progressing)])
    }

    #[test]
    fn it_sleeps_when_nothing_is_stopping_any_more() {
        let at = |progressing: &str, generation: i64| {
            shop(&json!({"observedGeneration": generation, "phase": "Hibernated",
                        "conditions": conditions("False", progressing)}))
        };
        assert!(!arrived(&at("True", 2), Some(2), true), "pods are left");
        assert!(!arrived(&at("False", 1), Some(2), true), "the status is about the Shop before the change");
        assert!(arrived(&at("False", 2), Some(2), true));
    }

    #[test]
    fn it_is_awake_when_it_is_ready_and_not_before_the_operator_noticed() {
        let at = |generation: i64, ready: &str| {
            shop(&json!({"observedGeneration": generation, "phase": "Ready", "conditions": conditions(ready, "False")}))
        };
        assert!(!arrived(&at(1, "True"), Some(2), false), "it was ready before it slept");
        assert!(!arrived(&at(2, "False"), Some(2), false));
        assert!(arrived(&at(2, "True"), Some(2), false));
        assert!(!arrived(&shop(&json!({})), Some(1), false));
    }
}
