//! The API server refuses a Shop that breaks a rule, and says what to write.

use serde_json::{Value, json};
use shopkeeper_testing::{SHOP, Scene};

use crate::scene::with_scene;

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

async fn check_new(scene: &Scene, spec: Value, help: &str) {
    check(scene.create_named(SHOP, &spec, true).await, &spec, help);
}

async fn check_name(scene: &Scene, name: &str) {
    let spec = json!({});
    check(scene.create_named(name, &spec, true).await, &json!(name), "a Shop's name has at most 36 characters");
}

async fn check_edit(scene: &Scene, spec: Value, help: &str) {
    check(scene.edit(&spec).await, &spec, help);
}

#[tokio::test]
async fn a_bad_shop_is_refused_with_what_to_write() {
    with_scene(async |scene, _| {
        for (spec, help) in [
            (json!({"currency": "usd"}), "three capital letters"),
            (json!({"version": "a/b"}), "version is an image tag"),
            (json!({"host": "https://acorn.test"}), "without scheme, port or path"),
            (json!({"publicUrl": "https://acorn.test/shop"}), "no path"),
            (json!({"ingress": {"tls": {}}}), "ingress.tls needs host"),
            (json!({"image": {"registry": "https://registry.test/"}}), "without scheme or trailing slash"),
            (json!({"image": {"pullPolicy": "Sometimes"}}), "IfNotPresent"),
            (json!({"postgres": {}}), "postgres has exactly one of `embedded: {}`"),
            (json!({"postgres": {"embedded": {}, "external": {"secretName": "sql"}}}), "postgres has exactly one of"),
            (json!({"postgres": {"embedded": {}, "cloudNativePG": {}}}), "postgres has exactly one of"),
            (json!({"postgres": {"external": {"secretName": "Not a name"}}}), "write the name of a Secret"),
            (json!({"users": {"adminSecretName": "Not a name"}}), "write the name of a Secret"),
            (json!({"image": {"pullSecrets": ["Not a name"]}}), "write the name of a Secret"),
            (
                json!({"telemetry": {"otlp": {"endpoint": "http://c.test:4317", "headersSecretName": "a=b"}}}),
                "write the name of a Secret",
            ),
            (json!({"postgres": {"cloudNativePG": {"instances": 0}}}), "instances"),
            (json!({"mongodb": {}}), "mongodb has exactly one of"),
            (json!({"redis": {"embedded": {}, "external": {"secretName": "cache"}}}), "redis has exactly one of"),
            (json!({"rabbitmq": {"clusterOperator": {}, "embedded": {}}}), "rabbitmq has exactly one of"),
            (json!({"rabbitmq": {"clusterOperator": {"replicas": 2}}}), "replicas is 1, 3, 5 or 7"),
            (json!({"rabbitmq": {"clusterOperator": {"storage": "much"}}}), "for example 10Gi"),
            (json!({"redis": {"embedded": {"storage": "much"}}}), "for example 10Gi"),
            (json!({"services": {"order": {"replicas": 0}}}), "replicas"),
            (
                json!({"services": {"order": {"replicas": 2, "autoscaling": {"maxReplicas": 3}}}}),
                "replicas and autoscaling exclude each other",
            ),
            (
                json!({"services": {"order": {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}}}),
                "write the smaller number first",
            ),
            (json!({"services": {"order": {"logLevel": "loud"}}}), "info,shop_order=debug"),
            (json!({"services": {"order": {"image": "order"}}}), "a reference with a tag or a digest"),
            (json!({"services": {"cart": {"resources": {"limits": {"memory": "lots"}}}}}), "for example 128Mi"),
            (
                amounts(&json!({"memory": "1Gi"}), &json!({"memory": "1000Mi"})),
                "requests.memory is more than limits.memory",
            ),
            (amounts(&json!({"cpu": "2"}), &json!({"cpu": "1500m"})), "requests.cpu is more than limits.cpu"),
            (json!({"mesh": {"networkPolicy": {"egressTo": [{}]}}}), "each entry is either an ipBlock"),
            (json!({"users": {"trustedProxyHops": -1}}), "1 is the ingress controller alone"),
            (json!({"users": {"mail": {}}}), "users.mail has exactly one of"),
            (
                json!({"users": {"mail": {"log": {}, "smtp": {"secretName": "mail", "from": "a@b.test"}}}}),
                "exactly one of",
            ),
            (
                json!({"users": {"mail": {"smtp": {"secretName": "mail", "from": "nobody"}}}}),
                "from is an e-mail address",
            ),
            (
                json!({"users": {"mail": {"smtp": {"secretName": "mail", "from": "a@b.test\r\nBcc: c@d.test"}}}}),
                "from is an",
            ),
            (bucket(&json!({"bucket": "Pictures"})), "bucket is the name of a bucket"),
            (bucket(&json!({"endpoint": "s3.test/pictures"})), "endpoint is scheme and host"),
            (bucket(&json!({"region": "EU West"})), "region is the short name"),
            (bucket(&json!({"secretName": ""})), "secretName"),
            (json!({"orders": {"unpaidExpiry": "soon"}}), "a whole number with a unit"),
            (json!({"orders": {"unpaidExpiry": "1h"}}), "orders.reservation must be longer"),
            (json!({"payment": {}}), "name the provider"),
            (mock("payment", &json!({"then": "Undeliverable"})), "those are for delivery.mock.outcomes"),
            (
                mock("payment", &json!({"when": {"city": "Rome"}, "then": "Fail"})),
                "those are for delivery.mock.outcomes",
            ),
            (mock("delivery", &json!({"when": {"amountAbove": 1}, "then": "Fail"})), "is for payment.mock.outcomes"),
            (mock("delivery", &json!({"then": "Decline", "times": 2})), "is not asked again"),
            (mock("delivery", &json!({"then": "Explode"})), "TimeOut"),
            (json!({"telemetry": {"embedded": {}, "disabled": {}}}), "exactly one of"),
            (json!({"telemetry": {"sampling": 0.5}}), "exactly one of"),
            (json!({"telemetry": {"embedded": {}, "sampling": 2}}), "from 0 (none) to 1 (all)"),
            (json!({"telemetry": {"otlp": {"endpoint": "collector"}}}), "scheme, host and port"),
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
            (json!({"lifecycle": {"dataOnDelete": "Maybe"}}), "Retain"),
            (json!({"redis": {"embedded": {"dataOnDelete": "Maybe"}}}), "Retain"),
        ] {
            check_new(&scene, spec, help).await;
        }
        for name in ["1acorn", "acorn.oak", "a-name-that-has-more-than-36-characters"] {
            check_name(&scene, name).await;
        }
    })
    .await;
}

/// Takes out what is there and puts something else in its place, in one edit.
async fn check_move(scene: &Scene, store: &str, from: &str, to: Value) {
    let mut places = to.clone();
    places[from] = Value::Null;
    check_edit(scene, json!({ store: places }), "where a store lives cannot change").await;
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
        check_edit(&scene, json!({"postgres": {"cloudNativePG": {"storage": "1Gi"}}}), "storage can only grow").await;
        check_edit(&scene, json!({"rabbitmq": {"clusterOperator": {"replicas": 1}}}), "replicas can only grow").await;
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
        check_edit(&scene, json!({"currency": "EUR"}), "make another Shop instead").await;
        check_edit(&scene, json!({"postgres": {"embedded": {"storage": "2Gi"}}}), "PersistentVolumeClaim").await;
        let class = json!({"redis": {"embedded": {"storageClassName": "fast"}}});
        check_edit(&scene, class, "storageClassName cannot change").await;
        scene.edit(&json!({"services": {"order": {"replicas": 2}}})).await.expect("what can change does");
        let same = amounts(&json!({"cpu": "0.5", "memory": "1Gi"}), &json!({"cpu": "500m", "memory": "1024Mi"}));
        scene.edit(&same).await.expect("a request may be as large as its limit");
    })
    .await;
}
