//! `status`: everything about a Shop on one screen.

mod summary;
mod view;

use clap::Args;
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use shopkeeper_operator::{catalog::STORES, names};

use self::summary::{Leaf, Seen, summary};
use crate::{
    cluster::Cluster,
    explain::explain,
    forward,
    output::{Output, Shown},
};

const ADMIN_PORT: u16 = 8081;

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper status
  kubectl shopkeeper status demo --namespace shop
  kubectl shopkeeper status -o json | jq '.services[] | select(.restarts > 0)'
  until kubectl shopkeeper status > /dev/null; do sleep 1; done";

/// Which Shop.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Name of the Shop. Default: the only one in the namespace.
    shop: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Status {
    /// Looks at everything. What you may not see is a note, and no reason to show nothing.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Shown> {
        let shop = cluster.shop(self.shop.as_deref()).await?;
        let name = shop.name_any();
        let events = ListParams::default();
        let (deployments, sets, pods, claims, events, leaves) = tokio::join!(
            cluster.list(&name),
            cluster.list(&name),
            cluster.list(&name),
            claims(cluster, &name),
            async { Ok::<_, kube::Error>(cluster.api().list(&events).await?.items) },
            leaves(cluster, &name),
        );
        let mut seen = Seen::default();
        seen.deployments = seen.or_note("images and requests", deployments);
        seen.sets = seen.or_note("images and requests of stores", sets);
        seen.pods = seen.or_note("restarts", pods);
        seen.claims = seen.or_note("volumes", claims);
        seen.events = seen.or_note("events", events);
        seen.leaves = seen.or_note("certificates", leaves);
        gauges(cluster, &mut seen).await;
        Ok(self.output.of(summary(&shop, seen)))
    }
}

/// The volumes of stores. They are found by their names: whoever restored one may have given it no labels.
async fn claims(cluster: &Cluster, shop: &str) -> kube::Result<Vec<PersistentVolumeClaim>> {
    let claims: Api<PersistentVolumeClaim> = cluster.api();
    let names = STORES.map(|store| names::volume(&names::component(shop, store)));
    Ok(try_join_all(names.iter().map(|name| claims.get_opt(name))).await?.into_iter().flatten().collect())
}

/// The certificates among the Shop's Secrets. Nothing else of them is looked at.
async fn leaves(cluster: &Cluster, shop: &str) -> kube::Result<Vec<Leaf>> {
    let secrets: Api<Secret> = cluster.api();
    let names = names::derived_secrets(shop);
    let mut leaves = Vec::new();
    for found in join_all(names.iter().map(|name| secrets.get_opt(name))).await {
        leaves.extend(found?.as_ref().and_then(Leaf::read));
    }
    Ok(leaves)
}

/// What the running pods of event consumers measure.
async fn gauges(cluster: &Cluster, seen: &mut Seen) {
    let component = |pod: &Pod| pod.labels().get(names::COMPONENT_LABEL).cloned().unwrap_or_default();
    let running = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    let consumers = seen.pods.iter().filter(running).filter(|pod| {
        let component = component(pod);
        Cluster::consumers().any(|service| service.name == component)
    });
    let api = cluster.api();
    let asked = consumers.map(|pod| {
        let (api, name, component) = (&api, pod.name_any(), component(pod));
        async move { (component, forward::ask(api, &name, ADMIN_PORT, "/metrics").await) }
    });
    let answers = join_all(asked).await;
    let mut failed = None;
    for (component, metrics) in answers {
        match metrics {
            Ok(metrics) => seen.gauges.entry(component).or_default().read(&metrics),
            Err(error) => failed = Some(error),
        }
    }
    // One reason is enough: without the right to forward ports it is the same for every pod.
    seen.notes.extend(failed.map(|error| format!("outbox lag and dead letters: {}", explain(error))));
}
