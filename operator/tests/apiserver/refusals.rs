//! The API server refuses a Shop that breaks a rule, and says what to write. A rule of the CRD without a refusal here fails.

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{SHOP, Scene};

use crate::scene::with_scene;

/// Specs, or changes of one, and what their refusals say.
type Refusals = Vec<(Value, &'static str)>;

/// What is said of a name that is not good.
const NAME: &str = "a Shop's name has at most 36 characters";
/// What is said of a store that is to live elsewhere.
const MOVED: &str = "where a store lives cannot change";

#[track_caller]
fn check(outcome: Result<impl std::fmt::Debug, kube::Error>, spec: &Value, help: &str) {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 422 => {
            assert!(status.message.contains(help), "{spec}: `{help}` is not in `{}`", status.message);
        }
        outcome => panic!("{spec} was not refused: {outcome:?}"),
    }
}

fn mock(provider: &str, rule: &Value) -> Value {
    json!({ provider: {"mock": {"latency": "0s", "outcomes": [rule]}} })
}

fn edge(name: &str, edge: &Value) -> Value {
    json!({"mesh": {"edges": {name: edge}}})
}

/// A Shop with a bucket that is good but for `wrong`.
fn bucket(wrong: &Value) -> Value {
    let mut s3 = json!({"bucket": "pictures", "secretName": "s3"});
    s3.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
    json!({"products": {"images": {"s3": s3}}})
}

fn amounts(requests: &Value, limits: &Value) -> Value {
    json!({"services": {"cart": {"resources": {"requests": requests, "limits": limits}}}})
}

fn canary(service: &str, canary: &Value) -> Value {
    json!({"services": {service: {"canary": canary}}})
}

fn analysis(interval: &str) -> Value {
    canary("order", &json!({"version": "1.2.3", "analysis": {"interval": interval}}))
}

/// A Shop behind a Gateway, and something else of an Ingress.
fn gateway(beside: &Value) -> Value {
    let mut ingress = json!({"gateway": {"parentRefs": [{"name": "gate"}]}});
    ingress.as_object_mut().expect("an object").extend(beside.as_object().expect("an object").clone());
    json!({"host": "acorn.test", "ingress": ingress})
}

fn about_the_whole() -> Refusals {
    vec![
        (json!({"currency": "usd"}), "three capital letters"),
        (json!({"version": "a/b"}), "letters, digits, '.', '_' and '-', for example 0.1.0"),
        (json!({"host": "https://acorn.test"}), "without scheme, port or path"),
        (json!({"publicUrl": "https://acorn.test/shop"}), "publicUrl is scheme and host"),
        (json!({"ingress": {"tls": {}}}), "ingress.tls needs host"),
        (gateway(&json!({"className": "squirrel"})), "gateway stands in the place of className"),
        (gateway(&json!({"annotations": {"squirrel.test/tail": "bushy"}})), "gateway stands in the place of"),
        (gateway(&json!({"tls": {}})), "gateway stands in the place of"),
        (json!({"image": {"registry": "https://registry.test/"}}), "without scheme or trailing slash"),
        (json!({"image": {"pullPolicy": "Sometimes"}}), "IfNotPresent"),
        (json!({"image": {"pullSecrets": ["Not a name"]}}), "write the name of a Secret"),
        (json!({"credentials": {"maxAge": "59m"}}), "credentials.maxAge is at least 1h"),
        (json!({"telemetry": {"embedded": {}, "disabled": {}}}), "telemetry has exactly one of"),
        (json!({"telemetry": {"sampling": 0.5}}), "telemetry has exactly one of"),
        (json!({"telemetry": {"embedded": {}, "sampling": 2}}), "from 0 (none) to 1 (all)"),
        (json!({"telemetry": {"otlp": {"endpoint": "collector"}}}), "scheme, host and port"),
        (
            json!({"telemetry": {"otlp": {"endpoint": "http://c.test:4317", "headersSecretName": "a=b"}}}),
            "write the name of a Secret",
        ),
        (json!({"lifecycle": {"dataOnDelete": "Maybe"}}), "Retain"),
    ]
}

fn about_stores() -> Refusals {
    vec![
        (json!({"postgres": {}}), "postgres has exactly one of `embedded: {}`"),
        (json!({"postgres": {"embedded": {}, "external": {"secretName": "sql"}}}), "postgres has exactly one of"),
        (json!({"postgres": {"embedded": {}, "cloudNativePG": {}}}), "postgres has exactly one of"),
        (json!({"postgres": {"external": {"secretName": "Not a name"}}}), "write the name of a Secret"),
        (json!({"postgres": {"cloudNativePG": {"instances": 0}}}), "instances"),
        (json!({"mongodb": {}}), "mongodb has exactly one of"),
        (json!({"redis": {"embedded": {}, "external": {"secretName": "cache"}}}), "redis has exactly one of"),
        (json!({"rabbitmq": {"clusterOperator": {}, "embedded": {}}}), "rabbitmq has exactly one of"),
        (json!({"rabbitmq": {"clusterOperator": {"replicas": 2}}}), "replicas is 1, 3, 5 or 7"),
        (json!({"rabbitmq": {"clusterOperator": {"storage": "much"}}}), "for example 10Gi"),
        (json!({"redis": {"embedded": {"storage": "much"}}}), "for example 10Gi"),
        (json!({"redis": {"embedded": {"dataOnDelete": "Maybe"}}}), "Retain"),
    ]
}

fn about_services() -> Refusals {
    vec![
        (json!({"services": {"order": {"replicas": 0}}}), "greater than or equal to 1"),
        (
            json!({"services": {"order": {"replicas": 2, "autoscaling": {"maxReplicas": 3}}}}),
            "replicas and autoscaling exclude each other",
        ),
        (
            json!({"services": {"order": {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}}}),
            "write the smaller number first",
        ),
        (json!({"services": {"order": {"logLevel": "loud"}}}), "info,shop_order=debug"),
        (
            json!({"services": {"order": {"image": "order"}}}),
            "with a tag or a digest, for example ghcr.io/acme/order:0.1.1",
        ),
        (json!({"services": {"cart": {"resources": {"limits": {"cpu": "many"}}}}}), "cpu is a number of cores"),
        (json!({"services": {"cart": {"resources": {"limits": {"memory": "lots"}}}}}), "for example 128Mi"),
        (
            amounts(&json!({"memory": "1Gi"}), &json!({"memory": "1000Mi"})),
            "requests.memory is more than limits.memory",
        ),
        (amounts(&json!({"cpu": "2"}), &json!({"cpu": "1500m"})), "requests.cpu is more than limits.cpu"),
        (canary("order", &json!({"weight": 5})), "another image: write one of the two"),
        (canary("cart", &json!({"version": "1.2.3", "image": "cart:1.2.3"})), "another image: write one of the two"),
        (canary("payment", &json!({"version": "1.2.3"})), "which nobody splits by weight"),
        (canary("delivery", &json!({"version": "1.2.3"})), "which nobody splits by weight"),
        (canary("order", &json!({"version": "a/b"})), "letters, digits, '.', '_' and '-', for example 0.2.0"),
        (canary("order", &json!({"image": "order"})), "with a tag or a digest, for example ghcr.io/acme/order:0.2.0"),
        (analysis("soon"), "a whole number with a unit"),
        (analysis("9s"), "interval is between 10s and 24h"),
        (analysis("25h"), "interval is between 10s and 24h"),
    ]
}

fn about_users_and_orders() -> Refusals {
    vec![
        (json!({"users": {"adminSecretName": "Not a name"}}), "write the name of a Secret"),
        (json!({"users": {"trustedProxyHops": -1}}), "1 is the ingress controller alone"),
        (json!({"users": {"mail": {}}}), "users.mail has exactly one of"),
        (
            json!({"users": {"mail": {"log": {}, "smtp": {"secretName": "mail", "from": "a@b.test"}}}}),
            "users.mail has exactly one of",
        ),
        (json!({"users": {"mail": {"smtp": {"secretName": "mail", "from": "nobody"}}}}), "from is an e-mail address"),
        (
            json!({"users": {"mail": {"smtp": {"secretName": "mail", "from": "a@b.test\r\nBcc: c@d.test"}}}}),
            "from is an",
        ),
        (bucket(&json!({"bucket": "Pictures"})), "bucket is the name of a bucket"),
        (bucket(&json!({"endpoint": "s3.test/pictures"})), "endpoint is scheme and host"),
        (bucket(&json!({"region": "EU West"})), "region is the short name"),
        (bucket(&json!({"secretName": ""})), "should be at least 1 chars long"),
        (json!({"orders": {"unpaidExpiry": "soon"}}), "a whole number with a unit"),
        (json!({"orders": {"unpaidExpiry": "1h"}}), "orders.reservation must be longer"),
        (json!({"payment": {}}), "name the provider"),
        (mock("payment", &json!({"then": "Undeliverable"})), "those are for delivery.mock.outcomes"),
        (mock("payment", &json!({"when": {"city": "Rome"}, "then": "Fail"})), "those are for delivery.mock.outcomes"),
        (mock("delivery", &json!({"when": {"amountAbove": 1}, "then": "Fail"})), "is for payment.mock.outcomes"),
        (mock("delivery", &json!({"then": "Decline", "times": 2})), "is not asked again"),
        (mock("delivery", &json!({"then": "Explode"})), "TimeOut"),
    ]
}

fn about_the_mesh() -> Refusals {
    vec![
        (json!({"mesh": {"certificateLifetime": "9m"}}), "certificateLifetime is between 10m and 24h"),
        (json!({"mesh": {"certificateLifetime": "25h"}}), "certificateLifetime is between 10m and 24h"),
        (json!({"mesh": {"networkPolicy": {"egressTo": [{}]}}}), "each entry is either an ipBlock"),
        (edge("cart-user", &json!({})), "mesh.edges knows cart-order, cart-product and order-product"),
        (edge("cart-order", &json!({"timeout": "soon"})), "a whole number with a unit"),
        (edge("cart-order", &json!({"timeout": "1m"})), "between 10ms and 10s"),
        (edge("cart-order", &json!({"retries": {"attempts": 0}})), "attempts"),
        (edge("cart-order", &json!({"faults": {"percent": 101, "reset": true}})), "percent"),
        (edge("cart-order", &json!({"faults": {"percent": 5}})), "say what goes wrong"),
        (
            edge("cart-order", &json!({"faults": {"percent": 5, "error": "Internal", "reset": true}})),
            "leave out error or reset",
        ),
    ]
}

fn of_new_shops() -> Refusals {
    let parts = [about_the_whole(), about_stores(), about_services(), about_users_and_orders(), about_the_mesh()];
    parts.into_iter().flatten().collect()
}

/// Changes of an empty spec.
fn of_edits() -> Refusals {
    vec![
        (json!({"currency": "EUR"}), "make another Shop under another name"),
        (json!({"postgres": {"embedded": {"storage": "2Gi"}}}), "PersistentVolumeClaim"),
        (json!({"redis": {"embedded": {"storageClassName": "fast"}}}), "storageClassName cannot change"),
    ]
}

/// Changes of clusters of other operators.
fn of_shrinking() -> Refusals {
    vec![
        (json!({"postgres": {"cloudNativePG": {"storage": "1Gi"}}}), "storage can only grow"),
        (json!({"rabbitmq": {"clusterOperator": {"replicas": 1}}}), "replicas can only grow"),
    ]
}

#[test]
fn every_rule_has_a_value_that_it_refuses() {
    let definition = serde_json::to_value(Shop::crd()).expect("json");
    let mut messages = BTreeSet::new();
    find_messages(&definition, &mut messages);
    let refusals = [of_new_shops(), of_edits(), of_shrinking()].into_iter().flatten();
    let helps: BTreeSet<&str> = refusals.map(|(_, help)| help).chain([NAME, MOVED]).collect();
    let is_seen = |message: &String| helps.iter().any(|help| message.contains(help));
    let unseen: Vec<&String> = messages.iter().filter(|message| !is_seen(message)).collect();
    assert!(unseen.is_empty(), "no refusal here says {unseen:?}");
    let is_vague = |help: &str| messages.iter().filter(|message| message.contains(help)).count() > 1;
    let vague: Vec<&&str> = helps.iter().filter(|help| is_vague(help)).collect();
    assert!(vague.is_empty(), "several rules say {vague:?}");
}

/// The messages of the rules in a schema.
fn find_messages(schema: &Value, found: &mut BTreeSet<String>) {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    found.extend(rules.map(|rule| rule["message"].as_str().unwrap_or("a rule without a message").to_owned()));
    match schema {
        Value::Object(map) => map.values().for_each(|inner| find_messages(inner, found)),
        Value::Array(list) => list.iter().for_each(|inner| find_messages(inner, found)),
        _ => {}
    }
}

async fn check_edit(scene: &Scene, spec: Value, help: &str) {
    check(scene.edit(&spec).await, &spec, help);
}

#[tokio::test]
async fn a_bad_shop_is_refused_with_what_to_write() {
    with_scene(async |scene, _| {
        for (spec, help) in of_new_shops() {
            check(scene.create_named(SHOP, &spec, true).await, &spec, help);
        }
        for name in ["1acorn", "acorn.oak", "a-name-that-has-more-than-36-characters"] {
            check(scene.create_named(name, &json!({}), true).await, &json!(name), NAME);
        }
    })
    .await;
}

/// Takes out what is there and puts something else in its place, in one edit.
async fn check_move(scene: &Scene, store: &str, from: &str, to: Value) {
    let mut places = to.clone();
    places[from] = Value::Null;
    check_edit(scene, json!({ store: places }), MOVED).await;
}

#[tokio::test]
async fn a_store_stays_where_it_is_and_grows_where_it_can() {
    with_scene(async |scene, _| {
        let spec = json!({
            "postgres": {"cloudNativePG": {"storage": "2Gi"}},
            "redis": {"external": {"secretName": "cache"}},
            "rabbitmq": {"clusterOperator": {"replicas": 3}},
        });
        scene.create(&spec).await.expect("a Shop");
        check_move(&scene, "postgres", "cloudNativePG", json!({"embedded": {}})).await;
        check_move(&scene, "postgres", "cloudNativePG", json!({"external": {"secretName": "sql"}})).await;
        check_move(&scene, "mongodb", "embedded", json!({"external": {"secretName": "documents"}})).await;
        check_move(&scene, "redis", "external", json!({"embedded": {}})).await;
        check_move(&scene, "rabbitmq", "clusterOperator", json!({"embedded": {}})).await;
        for (change, help) in of_shrinking() {
            check_edit(&scene, change, help).await;
        }
        let growth = json!({
            "postgres": {"cloudNativePG": {"storage": "2048Mi", "instances": 1}},
            "redis": {"external": {"secretName": "another-cache"}},
            "rabbitmq": {"clusterOperator": {"replicas": 5, "storage": "20Gi"}},
        });
        scene.edit(&growth).await.expect("what was refused did not keep what is right from being done");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_change_is_refused_with_the_way_out() {
    with_scene(async |scene, _| {
        scene.create(&json!({})).await.expect("a Shop");
        for (change, help) in of_edits() {
            check_edit(&scene, change, help).await;
        }
        scene.edit(&json!({"services": {"order": {"replicas": 2}}})).await.expect("what can change does");
        let same = amounts(&json!({"cpu": "0.5", "memory": "1Gi"}), &json!({"cpu": "500m", "memory": "1024Mi"}));
        scene.edit(&same).await.expect("a request may be as large as its limit");
    })
    .await;
}
