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
use shopkeeper_operator::crd::Shop;

use crate::{
    cluster::Cluster,
    explain::explain,
    output::{GOOD, NEW, Output, Shown, View, styled},
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
        let paused = shop.spec.lifecycle.paused;
        if paused && self.wait {
            bail!("{name} is paused, so nothing would happen: set spec.lifecycle.paused to false first");
        }
        let changed = shop.spec.lifecycle.hibernated != hibernated;
        let mut generation = shop.metadata.generation;
        if changed {
            let patch = Patch::Merge(json!({"spec": {"lifecycle": {"hibernated": hibernated}}}));
            let patched = cluster.api::<Shop>().patch(&name, &PatchParams::default(), &patch).await;
            generation = patched.with_context(|| format!("the Shop {name} cannot be changed"))?.metadata.generation;
        }
        let look = cluster.command(&format!("kubectl shopkeeper status {name}"));
        if self.wait {
            let waited = tokio::time::timeout(timeout, arrival(cluster, &name, generation, hibernated)).await;
            waited.map_err(|_| anyhow!("not within {:#}: {name} is on its way; see {look}", self.timeout))??;
        }
        Ok(self.output.of(Done { shop: name, hibernated, changed, waited: self.wait, paused, look }))
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

/// Whether the condition that is waited for holds of this generation. That the status is about it is not enough: of a Shop that
/// is blocked it still has what was known before.
fn arrived(shop: &Shop, generation: Option<i64>, hibernated: bool) -> bool {
    let wanted = condition(shop, if hibernated { "Hibernated" } else { "Ready" });
    wanted.is_some_and(|found| found.status == "True" && found.observed_generation >= generation)
}

fn condition<'a>(shop: &'a Shop, type_: &str) -> Option<&'a Condition> {
    shop.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, which programs read by its name")]
struct Done {
    shop: String,
    hibernated: bool,
    changed: bool,
    waited: bool,
    paused: bool,
    /// A command that shows how far it is.
    #[serde(skip)]
    look: String,
}

impl View for Done {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let Self { shop, hibernated, changed, waited, paused, look } = self;
        let (verb, state) = if *hibernated { ("hibernate", "asleep") } else { ("wake", "awake") };
        let done = match (changed, waited) {
            (_, true) if *hibernated => {
                format!("{shop} is {}: everything is stopped, the data is kept\n", styled("asleep", GOOD))
            }
            (_, true) => format!("{shop} is {}: it is Ready\n", styled("awake", GOOD)),
            (true, false) => format!("{shop} was told to {verb}; follow it with: {look}\n"),
            (false, false) => format!("{shop} is meant to be {state} already; nothing was changed\n"),
        };
        let pause = "The Shop is paused: nothing happens until spec.lifecycle.paused is false.\n";
        if *paused { done + &styled(pause, NEW) } else { done }
    }
}

#[cfg(test)]
mod tests {
    use shopkeeper_operator::status::{Blocked, blocked};

    use super::*;

    /// A Shop of which the operator said this at that generation.
    fn told(generation: i64, conditions: &[(&str, &str)]) -> Shop {
        let condition = |(type_, status): &(&str, &str)| {
            json!({"type": type_, "status": status, "reason": "R", "message": "", "observedGeneration": generation,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        serde_json::from_value(json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn"}, "spec": {},
            "status": {"observedGeneration": generation, "conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn it_sleeps_when_nothing_is_stopping_any_more() {
        let stopping = told(2, &[("Ready", "False"), ("Progressing", "True"), ("Hibernated", "False")]);
        assert!(!arrived(&stopping, Some(2), true), "pods are left");
        let asleep = told(2, &[("Progressing", "False"), ("Hibernated", "True")]);
        assert!(arrived(&asleep, Some(2), true));
        assert!(!arrived(&asleep, Some(3), true), "the status is about the Shop before the change");
    }

    #[test]
    fn it_is_awake_when_it_is_ready_and_not_before_the_operator_noticed() {
        let at = |generation: i64, ready: &str| told(generation, &[("Ready", ready)]);
        assert!(!arrived(&at(1, "True"), Some(2), false), "it was ready before it slept");
        assert!(!arrived(&at(2, "False"), Some(2), false));
        assert!(arrived(&at(2, "True"), Some(2), false));
        assert!(!arrived(&told(2, &[("Hibernated", "True")]), Some(2), false));
        assert!(!arrived(&told(1, &[]), Some(1), false));
    }

    #[test]
    fn what_was_known_of_a_shop_before_it_was_blocked_does_not_count() {
        let mut shop = told(2, &[("Progressing", "False"), ("Hibernated", "True")]);
        let why = Blocked { reason: "AnyReason", message: "", passes: false };
        shop.status = Some(blocked(shop.status.as_ref(), Some(3), &why, None, Timestamp::UNIX_EPOCH));
        assert!(condition(&shop, "Hibernated").is_some_and(|known| known.status == "True"));
        assert!(!arrived(&shop, Some(3), true));
    }
}
