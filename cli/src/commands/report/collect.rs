//! What goes into a report.

use std::collections::BTreeSet;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::{Event, Node, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, LogParams},
    discovery::{Discovery, Scope, verbs},
};
use serde_json::{Value, json};
use shopkeeper_operator::{catalog::SERVICES, crd::Shop, names, stores};

use super::bundle::Bundle;
use crate::{
    cluster::{Cluster, of_shop, selector},
    explain::explain,
    forward,
    redact::{Redactor, outline},
};

const ADMIN_PORT: u16 = 8081;
const OPERATOR_PORT: u16 = 8080;
/// What happened before that is in the log that the cluster collects, if it does.
const LOG_LINES: i64 = 2_000;
/// Kinds that are told in another way than object by object.
const ELSEWHERE: [&str; 2] = ["Secret", "Event"];

/// Collects what can be collected of a Shop.
pub async fn collect(cluster: &Cluster, shop: Shop) -> anyhow::Result<Bundle> {
    let name = shop.name_any();
    let mut missing = Vec::new();
    let objects = objects(cluster, &name, &mut missing).await?;
    let secrets = secrets(cluster, &shop, &objects, &mut missing).await;
    let mut bundle = Bundle::new(Redactor::new(&secrets)?);
    bundle.missing = missing;
    bundle.object("shop.yaml", "the Shop", &shop)?;
    bundle.object("versions.yaml", "versions of what takes part", &versions(cluster, &shop).await)?;
    for object in &objects {
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        let path = format!("objects/{}/{}.yaml", kind.to_lowercase(), object.name_any());
        bundle.object(&path, &kind, object)?;
    }
    for secret in &secrets {
        bundle.object(
            &format!("secrets/{}.yaml", secret.name_any()),
            "keys and sizes of a Secret",
            &outline(secret),
        )?;
    }
    events(cluster, &mut bundle).await?;
    let pods: Vec<Pod> = or_missing(&mut bundle.missing, "logs and metrics", cluster.list(&name).await);
    for pod in &pods {
        logs(&cluster.api(), pod, "", &mut bundle).await;
        let component = pod.labels().get(names::COMPONENT_LABEL);
        if SERVICES.iter().any(|service| component.is_some_and(|component| component == service.name)) {
            metrics(&cluster.api(), pod, ADMIN_PORT, "", &mut bundle).await;
        }
    }
    operator(cluster, &mut bundle).await?;
    nodes(cluster, &mut bundle).await?;
    Ok(bundle)
}

fn or_missing<T: Default, E: Into<anyhow::Error>>(missing: &mut Vec<String>, what: &str, found: Result<T, E>) -> T {
    found.unwrap_or_else(|error| {
        missing.push(format!("{what}: {}", explain(error)));
        T::default()
    })
}

/// Every object with the Shop's labels, of whichever kind the cluster knows.
async fn objects(cluster: &Cluster, shop: &str, missing: &mut Vec<String>) -> anyhow::Result<Vec<DynamicObject>> {
    let kinds = Discovery::new(cluster.client.clone()).run_aggregated().await?;
    let kinds = kinds.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let listed = kinds.filter(|(kind, can)| {
        can.scope == Scope::Namespaced
            && can.supports_operation(verbs::LIST)
            && !ELSEWHERE.contains(&kind.kind.as_str())
    });
    let mut objects = Vec::new();
    for (kind, _) in listed {
        let found = list(cluster, &kind, shop).await;
        objects.extend(or_missing(missing, &kind.plural, found));
    }
    Ok(objects)
}

async fn list(cluster: &Cluster, kind: &ApiResource, shop: &str) -> kube::Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, kind);
    let mut found = api.list(&ListParams::default().labels(&of_shop(shop))).await?.items;
    for object in &mut found {
        // A list names the kind only once.
        object.types = Some(kube::core::TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
    }
    Ok(found)
}

/// The Secrets that the operator made, and those that the Shop's objects name.
async fn secrets(cluster: &Cluster, shop: &Shop, objects: &[DynamicObject], missing: &mut Vec<String>) -> Vec<Secret> {
    let name = shop.name_any();
    let mut wanted: BTreeSet<String> = names::derived_secrets(&name).into_iter().collect();
    wanted.insert(names::credentials(&name));
    for object in objects {
        named_secrets(&object.data, &mut wanted);
    }
    if let Ok(spec) = serde_json::to_value(&shop.spec) {
        named_secrets(&spec, &mut wanted);
    }
    wanted.extend(stores::secret_names(shop));
    let api: Api<Secret> = cluster.api();
    let (mut secrets, seen) = (Vec::new(), missing.len());
    for name in wanted {
        secrets.extend(or_missing(missing, &format!("Secret {name}"), api.get_opt(&name).await));
    }
    if missing.len() > seen {
        let text =
            "values of Secrets that cannot be read are not known: of them only what looks like a secret was taken out";
        missing.push(text.to_owned());
    }
    secrets
}

/// Names of Secrets in an object: `adminSecretName: x`, `secretKeyRef: {name: x}`, `superuserSecret: {name: x}`,
/// `imagePullSecrets: [{name: x}]`, `pullSecrets: [x]`. A text in a field called a secret is one, and no name.
fn named_secrets(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named_secrets(item, names)),
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.to_lowercase();
                let one = key.ends_with("secret") || (key.starts_with("secret") && key.ends_with("ref"));
                let found = match field {
                    Value::Array(items) if key.ends_with("pullsecrets") => items.iter().collect(),
                    Value::String(_) if key.ends_with("secretname") => vec![field],
                    Value::Object(_) if one => vec![field],
                    _ => Vec::new(),
                };
                let found = found.into_iter().filter_map(|found| found.get("name").unwrap_or(found).as_str());
                names.extend(found.filter(|name| !name.is_empty()).map(str::to_owned));
                named_secrets(field, names);
            }
        }
        _ => {}
    }
}

async fn versions(cluster: &Cluster, shop: &Shop) -> Value {
    let kubernetes = cluster.client.apiserver_version().await.map(|info| info.git_version);
    let operator = cluster.operator().await.ok().flatten().and_then(|found| {
        let pod = found.spec?.template.spec?;
        pod.containers.into_iter().next()?.image
    });
    json!({
        "plugin": env!("CARGO_PKG_VERSION"),
        "kubernetes": kubernetes.unwrap_or_else(|error| error.to_string()),
        "operator": operator,
        "shop": shop.status.as_ref().and_then(|status| status.version.clone()),
    })
}

async fn events(cluster: &Cluster, bundle: &mut Bundle) -> anyhow::Result<()> {
    let found = cluster.api::<Event>().list(&ListParams::default()).await;
    let found = or_missing(&mut bundle.missing, "events", found.map(|list| list.items));
    bundle.object("events.yaml", "what happened in the namespace", &found)
}

/// The end of the log of every container of a pod, and of the one that ended before it.
async fn logs(pods: &Api<Pod>, pod: &Pod, folder: &str, bundle: &mut Bundle) {
    let name = pod.name_any();
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let runs = statuses.flat_map(|status| {
        [(&status.name, false)].into_iter().chain((status.restart_count > 0).then_some((&status.name, true)))
    });
    for (container, previous) in runs {
        let params = LogParams {
            container: Some(container.clone()),
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        let end = if previous { "previous.log" } else { "log" };
        match pods.logs(&name, &params).await {
            Ok(text) => bundle.text(&format!("{folder}logs/{name}.{container}.{end}"), "the end of a log", &text),
            Err(error) => bundle.missing.push(format!("{end} of {name}: {}", explain(error))),
        }
    }
}

async fn metrics(pods: &Api<Pod>, pod: &Pod, port: u16, folder: &str, bundle: &mut Bundle) {
    let name = pod.name_any();
    match forward::ask(pods, &name, port, "/metrics").await {
        Ok(text) => bundle.text(&format!("{folder}metrics/{name}.txt"), "what a pod measures", &text),
        Err(error) => bundle.missing.push(format!("metrics of {name}: {}", explain(error))),
    }
}

async fn operator(cluster: &Cluster, bundle: &mut Bundle) -> anyhow::Result<()> {
    let found = cluster.operator().await.map_err(anyhow::Error::from);
    let found = found.and_then(|found| found.ok_or_else(|| anyhow!("none looks after {}", cluster.namespace)));
    let Some(deployment) = or_missing(&mut bundle.missing, "the operator", found.map(Some)) else { return Ok(()) };
    bundle.object("operator/deployment.yaml", "the operator", &deployment)?;
    let namespace = deployment.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    // Another release in the same namespace has pods of its own.
    let labels = deployment.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default();
    let pods = api.list(&ListParams::default().labels(&selector(&labels))).await;
    for pod in or_missing(&mut bundle.missing, "the operator's pods", pods.map(|list| list.items)) {
        logs(&api, &pod, "operator/", bundle).await;
        metrics(&api, &pod, OPERATOR_PORT, "operator/", bundle).await;
    }
    Ok(())
}

/// What the nodes are and have; who they are to their provider is left out.
async fn nodes(cluster: &Cluster, bundle: &mut Bundle) -> anyhow::Result<()> {
    let nodes = Api::<Node>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let nodes = or_missing(&mut bundle.missing, "nodes", nodes.map(|list| list.items));
    let told = nodes.iter().map(|node| {
        let status = node.status.clone().unwrap_or_default();
        json!({
            "name": node.name_any(), "info": status.node_info, "capacity": status.capacity,
            "allocatable": status.allocatable, "conditions": status.conditions,
        })
    });
    bundle.object("nodes.yaml", "the machines", &told.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_where_pods_and_shops_name_them() {
        let pod = json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a", "key": "k"}}}],
                                         "envFrom": [{"secretRef": {"name": "b"}}]}],
                         "volumes": [{"secret": {"secretName": "c"}}, {"name": "other"}]});
        let spec = json!({"users": {"adminSecretName": "d", "mail": {"smtp": {"secretName": "e"}}},
                          "image": {"pullSecrets": ["f"]}, "imagePullSecrets": [{"name": "g"}],
                          "superuserSecret": {"name": "h"}, "secret": {"items": [{"key": "not one"}]}});
        let mut names = BTreeSet::new();
        named_secrets(&pod, &mut names);
        named_secrets(&spec, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    }
}
