//! Everything in a namespace, without what differs from one Shop to the next that is made in the same way.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ListParams};
use kube::discovery::{ApiGroup, ApiResource, Discovery, Scope, verbs};
use kube::{Api, ResourceExt};
use serde_json::Value;
use shopkeeper_testing::Scene;
use tokio::sync::OnceCell;

/// Kinds that the cluster makes from those of the operator, or beside them.
const OF_THE_CLUSTER: [&str; 8] =
    ["Pod", "ReplicaSet", "ControllerRevision", "Event", "Endpoints", "EndpointSlice", "Lease", "Shop"];
/// Fields that the API server fills in, or that come from something generated.
const UNLIKE: [&str; 18] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "status",
    "clusterIP",
    "clusterIPs",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "shopkeeper.dev/applied",
    "shopkeeper.dev/inputs",
    "shopkeeper.dev/certificate-since",
    "jwks.json",
    "postgres.crt",
    "mongodb.crt",
    "redis.crt",
    "rabbitmq.crt",
];
/// Comes before the hash in the name of a migration, which depends on the namespace.
const MIGRATION: &str = "-migrate-";

/// The objects of a namespace by kind and name.
pub type Snapshot = BTreeMap<String, Value>;

/// Takes one.
pub async fn snapshot(scene: &Scene) -> Snapshot {
    static KINDS: OnceCell<Vec<ApiResource>> = OnceCell::const_new();
    let kinds = KINDS.get_or_init(|| kinds(scene)).await;
    let lists = kinds.iter().map(|kind| objects(scene, kind));
    futures::future::join_all(lists).await.into_iter().flatten().collect()
}

/// What differs now, except for how often pods were replaced on the way.
pub fn differences_now(before: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut found = differences(before, now);
    found.retain(|line| !line.contains(".deployment.kubernetes.io/revision: "));
    found
}

/// What differs, a line a difference; nothing when they are equal.
pub fn differences(left: &Snapshot, right: &Snapshot) -> Vec<String> {
    let keys = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
    let mut found = Vec::new();
    for key in keys {
        match (left.get(key), right.get(key)) {
            (Some(left), Some(right)) => compare(key, left, right, &mut found),
            (Some(_), None) => found.push(format!("{key} is missing")),
            (None, _) => found.push(format!("{key} is too many")),
        }
    }
    found
}

fn compare(path: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}.{key}"), &of(left), &of(right), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}[{index}]"), left, right, found);
            }
        }
        _ if left != right => found.push(format!("{path}: {left} became {right}")),
        _ => {}
    }
}

/// All namespaced kinds that there are, so that nothing can be made unnoticed.
async fn kinds(scene: &Scene) -> Vec<ApiResource> {
    let discovery = Discovery::new(scene.client.clone()).run_aggregated().await.expect("a list of kinds");
    let resources = discovery.groups().flat_map(ApiGroup::recommended_resources);
    let ours = resources.filter(|(kind, can)| {
        can.scope == Scope::Namespaced
            && can.supports_operation(verbs::LIST)
            && can.supports_operation(verbs::CREATE)
            && !OF_THE_CLUSTER.contains(&kind.kind.as_str())
    });
    ours.map(|(kind, _)| kind).collect()
}

async fn objects(scene: &Scene, kind: &ApiResource) -> Vec<(String, Value)> {
    let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &scene.namespace, kind);
    let list = api.list(&ListParams::default()).await.expect("a list").items;
    list.into_iter().map(|object| named(&scene.namespace, kind, &object)).collect()
}

fn named(namespace: &str, kind: &ApiResource, object: &DynamicObject) -> (String, Value) {
    let mut value = serde_json::to_value(object).expect("json");
    if kind.kind == "Secret"
        && let Some(data) = value.get_mut("data").and_then(Value::as_object_mut)
    {
        data.values_mut().for_each(|value| *value = Value::Null);
    }
    alike(namespace, &mut value);
    (format!("{} {}", kind.kind, same_text(namespace, &object.name_any())), value)
}

fn alike(namespace: &str, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !UNLIKE.contains(&key.as_str()));
            map.values_mut().for_each(|value| alike(namespace, value));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| alike(namespace, value)),
        Value::String(text) => *text = same_text(namespace, text),
        _ => {}
    }
}

/// The text without namespace and hash.
pub fn same_text(namespace: &str, text: &str) -> String {
    let text = text.replace(namespace, "NAMESPACE");
    match text.find(MIGRATION) {
        Some(at) => {
            let (name, hash) = text.split_at(at + MIGRATION.len());
            let rest = hash.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{name}HASH{rest}")
        }
        None => text,
    }
}
