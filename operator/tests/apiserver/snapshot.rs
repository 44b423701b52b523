//! Everything in a namespace, as it is compared with what was there before, or with what another Shop of the same spec has.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use shopkeeper_testing::Scene;
use tokio::time::sleep;

/// Kinds that the cluster makes from those of the operator, or beside them.
const OF_THE_CLUSTER: [&str; 8] =
    ["Pod", "ReplicaSet", "ControllerRevision", "Event", "Endpoints", "EndpointSlice", "Lease", "Shop"];
/// Fields that the API server fills in.
const FILLED_IN: [&str; 10] = [
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
];
/// Fields that come from something generated, which no other Shop has.
const GENERATED: [&str; 8] = [
    "shopkeeper.dev/applied",
    "shopkeeper.dev/inputs",
    "shopkeeper.dev/certificate-since",
    "jwks.json",
    "postgres.crt",
    "mongodb.crt",
    "redis.crt",
    "rabbitmq.crt",
];
/// Others than the operator are done within so many looks.
const LOOKS: usize = 150;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Comes before the hash in the name of a migration, which depends on the namespace.
const MIGRATION: &str = "-migrate-";

/// The objects of a namespace by kind and name.
pub type Snapshot = BTreeMap<String, Value>;

/// Takes one. Of the values in Secrets it has what tells one from another, and nothing that a failed test would print.
pub async fn snapshot(scene: &Scene) -> Snapshot {
    snapshot_of(scene, &kinds(scene).await).await
}

/// The same for who takes one after the other, and knows the kinds by then.
pub async fn snapshot_of(scene: &Scene, kinds: &[ApiResource]) -> Snapshot {
    let lists = kinds.iter().map(|kind| async move { (kind, scene.objects(kind).await) });
    let lists = futures::future::join_all(lists).await.into_iter();
    let objects = lists.flat_map(|(kind, objects)| objects.into_iter().map(move |object| (kind, object)));
    objects.map(|(kind, object)| (format!("{} {}", kind.kind, object.name_any()), content(kind, &object))).collect()
}

/// What every Shop has that was made in the same way: without what is generated, and without the namespace.
pub fn of_any_shop(namespace: &str, snapshot: Snapshot) -> Snapshot {
    let alike = |(name, mut value): (String, Value)| {
        if name.starts_with("Secret ") {
            forget(&mut value, |_| Value::Null);
        }
        remove(&mut value, &GENERATED);
        rename(namespace, &mut value);
        (same_text(namespace, &name), value)
    };
    snapshot.into_iter().map(alike).collect()
}

/// What is not as it was before, when the garbage collector and other controllers have done their part too.
pub async fn left_behind(scene: &Scene, before: &Snapshot) -> Vec<String> {
    let (kinds, mut left) = (kinds(scene).await, Vec::new());
    for _ in 0..LOOKS {
        left = differences_now(before, &snapshot_of(scene, &kinds).await);
        if left.is_empty() {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    left
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

/// All kinds that there are now, those of other operators among them, so that nothing can be made unnoticed.
pub async fn kinds(scene: &Scene) -> Vec<ApiResource> {
    let mut kinds = scene.kinds().await;
    kinds.retain(|kind| !OF_THE_CLUSTER.contains(&kind.kind.as_str()));
    kinds
}

fn content(kind: &ApiResource, object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).expect("json");
    if kind.kind == "Secret" {
        forget(&mut value, hash);
    }
    remove(&mut value, &FILLED_IN);
    value
}

/// Puts something else in the place of the values of a Secret.
fn forget(secret: &mut Value, instead: impl Fn(&Value) -> Value) {
    if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
        data.values_mut().for_each(|value| *value = instead(value));
    }
}

fn hash(value: &Value) -> Value {
    let mut hasher = DefaultHasher::new();
    value.as_str().hash(&mut hasher);
    json!(format!("{:016x}", hasher.finish()))
}

/// Removes fields, wherever they are.
fn remove(value: &mut Value, fields: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !fields.contains(&key.as_str()));
            map.values_mut().for_each(|value| remove(value, fields));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| remove(value, fields)),
        _ => {}
    }
}

/// Makes texts [`same_text`], wherever they are.
fn rename(namespace: &str, value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| rename(namespace, value)),
        Value::Array(list) => list.iter_mut().for_each(|value| rename(namespace, value)),
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
