//! `plan`: what a changed Shop would do to the cluster, without doing it.

mod dry_run;
mod view;

use std::{io::Read as _, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::{Api, CustomResourceExt as _, ResourceExt as _, api::DynamicObject, api::ListParams};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use shopkeeper_operator::{
    crd::Shop,
    kinds::HttpRoute,
    observe::{Sight, observe_with},
    plan::{self, differences},
    settings::Settings,
};

use self::view::Planned;
use crate::{
    cluster::Cluster,
    output::{Output, Shown},
};

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper plan -f shop.yaml
  kubectl get shop demo -o yaml | sed 's/replicas: 1/replicas: 2/' | kubectl shopkeeper plan -f -
  kubectl shopkeeper plan -f shop.yaml -o json | jq '.objects[] | select(.action == \"delete\")'";

const PAUSED: &str = "the Shop is paused: until spec.lifecycle.paused is false the operator changes nothing but what \
                      becomes of data when the Shop is deleted and, which is not told here, certificates that are due and the \
                      replica of a store that is just getting another pod";

/// The file with the changed Shop.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Plan {
    /// The Shop as it should be, YAML or JSON; - is standard input.
    #[arg(short, long)]
    filename: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Plan {
    /// Goes through a reconcile of the changed Shop without its writes.
    pub async fn run(self, cluster: Cluster) -> anyhow::Result<Shown> {
        let wanted = self.read()?;
        let cluster = match wanted.namespace() {
            Some(namespace) => cluster.within(&namespace)?,
            None => cluster,
        };
        let mut notes = Vec::new();
        let kind = Shop::api_resource();
        let shops: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &kind);
        let live = shops.get_opt(&wanted.name_any()).await.with_context(|| cluster.unread())?;
        let planned = dry_run::apply(&shops, live.as_ref(), &wanted).await;
        let planned = planned.context("the API server would not take this Shop")?;
        let fields = match &live {
            Some(live) => differences(&own(live), &own(live), &own(&planned)),
            None => Vec::new(),
        };
        let shop: Shop = planned.try_parse().context("the API server's Shop")?;
        let before: Option<Shop> = live.map(DynamicObject::try_parse).transpose().context("the API server's Shop")?;
        let facts = plan::Facts {
            shop: &shop,
            before: before.as_ref(),
            others: &others(&cluster, &mut notes).await?,
            settings: &settings(&cluster, &mut notes).await?,
            now: Timestamp::now(),
            random: &SystemRandom::new(),
        };
        let sight = sight(&cluster, &mut notes).await;
        let observed = observe_with(&cluster.client, &shop, sight).await?;
        let objects = plan::find_taken(&cluster.client, &shop, plan::plan(&facts, observed)?).await?;
        if shop.spec.lifecycle.paused {
            notes.push(PAUSED.to_owned());
        }
        let name = format!("{}/{}", cluster.namespace, shop.name_any());
        Ok(self.output.of(Planned { shop: name, new: before.is_none(), fields, objects, notes }))
    }

    fn read(&self) -> anyhow::Result<DynamicObject> {
        let text = if self.filename.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(&self.filename)
        };
        let text = text.with_context(|| format!("{} cannot be read", self.filename.display()))?;
        parse(&text).with_context(|| self.filename.display().to_string())
    }
}

/// Reads one Shop, and lets nothing in that only an API server says of it.
fn parse(text: &str) -> anyhow::Result<DynamicObject> {
    let mut value: Value = serde_saphyr::from_str(text).context("this is no YAML of one object")?;
    let kind = Shop::api_resource();
    if value["kind"] != kind.kind || value["apiVersion"] != kind.api_version {
        bail!("this is no Shop: it needs `apiVersion: {}` and `kind: {}`", kind.api_version, kind.kind);
    }
    let object = value.as_object_mut().ok_or_else(|| anyhow!("this is no object"))?;
    object.remove("status");
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(dry_run::LAST_APPLIED);
        }
    }
    let mut parsed: DynamicObject = serde_json::from_value(value).context("this is no object")?;
    // kubectl always writes one, so it never takes away all that there are.
    parsed.annotations_mut();
    if parsed.metadata.name.is_none() {
        bail!("the Shop has no metadata.name");
    }
    Ok(parsed)
}

/// What people write of a Shop.
fn own(shop: &DynamicObject) -> Value {
    let mut annotations = shop.annotations().clone();
    annotations.remove(dry_run::LAST_APPLIED);
    json!({"metadata": {"labels": shop.labels(), "annotations": annotations}, "spec": shop.data["spec"]})
}

/// Every Shop that the operator may know: who has the route for a host depends on them.
async fn others(cluster: &Cluster, notes: &mut Vec<String>) -> anyhow::Result<Vec<Arc<Shop>>> {
    let all = Api::<Shop>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let found = match all {
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            notes.push("Shops of other namespaces are not considered: you may not list them".to_owned());
            cluster.api::<Shop>().list(&ListParams::default()).await
        }
        found => found,
    };
    Ok(found.context("the Shops cannot be listed")?.items.into_iter().map(Arc::new).collect())
}

/// Which ways into the cluster one may look at. Roles for a namespace give no right to look at what belongs to none.
async fn sight(cluster: &Cluster, notes: &mut Vec<String>) -> Sight {
    let one = ListParams::default().limit(1);
    let classes = Api::<IngressClass>::all(cluster.client.clone()).list(&one).await;
    let routes = cluster.api::<HttpRoute>().list(&one).await;
    let sight = Sight { ingress_classes: !is_forbidden(&classes), http_routes: !is_forbidden(&routes) };
    if !sight.ingress_classes {
        notes.push(
            "whether there is such an ingress class, and which one is the default, is not known: you may not list them"
                .to_owned(),
        );
    }
    if !sight.http_routes {
        notes.push("HTTPRoutes are not considered: you may not list them".to_owned());
    }
    sight
}

fn is_forbidden<T>(answer: &kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.is_forbidden())
}

/// The settings of the operator that will do it.
async fn settings(cluster: &Cluster, notes: &mut Vec<String>) -> anyhow::Result<Settings> {
    let own = env!("CARGO_PKG_VERSION");
    match cluster.operator().await {
        Ok(Some(operator)) => {
            let label = operator.labels().get("app.kubernetes.io/version").cloned().unwrap_or_default();
            if label != own {
                notes.push(format!("the operator is {label} and this plugin {own}: they may not agree"));
            }
            Settings::of(&operator).context("the operator's settings")
        }
        Ok(None) => {
            let place = &cluster.namespace;
            notes.push(format!("no operator looks after {place}: the plan is of one with default settings"));
            Ok(Settings::default())
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            notes.push(
                "you may not read the operator's Deployment: the plan is of one with default settings".to_owned(),
            );
            Ok(Settings::default())
        }
        Err(error) => Err(error).context("the operator's Deployment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_says_of_a_shop_is_no_wish() {
        let text = "apiVersion: shopkeeper.dev/v1alpha1\nkind: Shop\nmetadata:\n  name: acorn\n  resourceVersion: '7'\n  \
                    uid: u\n  labels: {a: b}\nspec: {version: 0.2.0}\nstatus: {phase: Ready}\n";
        let shop = parse(text).unwrap();
        assert_eq!((shop.metadata.resource_version, shop.metadata.uid), (None, None));
        assert_eq!(shop.metadata.labels.unwrap()["a"], "b");
        assert_eq!(shop.data, json!({"spec": {"version": "0.2.0"}}));
    }

    #[test]
    fn a_file_without_a_shop_is_refused_with_what_it_needs() {
        for (text, help) in [
            ("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}", "kind: Shop"),
            ("kind: Shop\napiVersion: shopkeeper.dev/v1alpha1\nspec: {}", "metadata.name"),
            ("just text", "kind: Shop"),
            ("a: [", "no YAML"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(help), "{text}: {error}");
        }
    }
}
