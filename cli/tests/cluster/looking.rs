//! `status`, `trace` and `dlq` on a running Shop.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::{Value, json};
use shop_e2e::{Seen, Target, purchase::Visit, wait_for};
use shopkeeper_operator::crd::Shop;

use crate::scene::{run, target, with_scene};

/// Services send their spans every few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn the_status_of_a_ready_shop_is_everything_on_one_screen() {
    let target = target();
    let did = run(&target.namespace, &["status", &target.shop]);
    did.check(0, &format!("{}/{} Ready", target.namespace, target.shop));
    for title in ["CONDITION", "SERVICE", "STORE", "CERTIFICATE"] {
        did.check(0, &format!("\n{title} "));
    }
    assert!(!did.out.contains('\u{1b}'), "colours are for terminals: {}", did.out);

    let status = run(&target.namespace, &["status", &target.shop, "-o", "json"]).json();
    assert_eq!(status["ready"], true);
    let in_yaml = run(&target.namespace, &["status", &target.shop, "-o", "yaml"]).yaml();
    assert_eq!((&in_yaml["name"], &in_yaml["url"]), (&status["name"], &status["url"]));
    let services = status["services"].as_array().expect("services");
    assert_eq!(services.len(), 7);
    for service in services {
        assert!(
            service["image"].is_string() && service["cpu"].is_string() && service["memory"].is_string(),
            "{service}"
        );
        let consumes = !["user", "docs"].contains(&service["name"].as_str().expect("a name"));
        assert_eq!(service["deadLetters"].is_number(), consumes, "{service}");
    }
    let stores = status["stores"].as_array().expect("stores");
    assert!(stores.iter().all(|store| store["mode"] == "Embedded"), "{stores:?}");
    let in_memory = |store: &&Value| store["volume"].is_null();
    let names: Vec<&Value> = stores.iter().filter(in_memory).map(|store| &store["name"]).collect();
    assert_eq!(names, ["traces"]);
    let certificates = status["certificates"].as_array().expect("certificates");
    assert!(!certificates.is_empty());
    for certificate in certificates {
        let expires: Timestamp = certificate["expires"].as_str().expect("a time").parse().expect("a time");
        assert!(expires > Timestamp::now(), "{certificate}");
    }
}

#[tokio::test]
async fn a_shop_that_nobody_looks_after_is_not_ready_and_the_plugin_says_why() {
    with_scene(async |scene| {
        run(&scene.namespace, &["status"]).check(2, &format!("there is no Shop in the namespace {}", scene.namespace));
        scene.shop("acorn").await;
        run(&scene.namespace, &["status"]).check(1, "no operator has looked at it yet");
        scene.shop("oak").await;
        run(&scene.namespace, &["status"]).check(2, "has several Shops: name one of acorn, oak");
        run(&scene.namespace, &["status", "oak"]).check(1, "/oak unknown");
    })
    .await;
}

#[test]
fn somebody_who_looks_in_the_wrong_place_is_told_the_right_one() {
    let target = target();
    let did = run("default", &["status", "no-such-shop"]);
    did.check(2, "there is no Shop no-such-shop in the namespace default");
    did.check(2, &format!("--namespace {} ({})", target.namespace, target.shop));
}

#[tokio::test]
async fn the_trace_of_an_order_is_a_tree_from_the_checkout_to_the_door() {
    let target = target();
    let visit = Visit::to(target.clone(), |step| eprintln!("{step}")).await.expect("the cluster can be reached");
    let (receipt, order) = visit.purchase().await.expect("a purchase");
    let tree = wait_for("the whole trace", PATIENCE, async || {
        let did = run(&target.namespace, &["trace", &order.id, "--shop", &target.shop]);
        let whole = did.code == 0 && did.out.contains("order process delivery.delivered");
        Ok(if whole { Seen::Done(did.out) } else { Seen::NotYet(format!("{}{}", did.out, did.err)) })
    })
    .await
    .expect("the order's trace");
    let mut lines = tree.lines();
    assert_eq!(lines.next(), Some(format!("trace {}", receipt.trace_id).as_str()));
    let root = lines.nth(1).expect("a first span");
    assert!(root.ends_with("ms  cart POST /api/v1/cart/checkout"), "{tree}");
    assert!(tree.contains("  payment capture payment"), "{tree}");
    for did in ["json", "yaml"].map(|o| run(&target.namespace, &["trace", &order.id, "--shop", &target.shop, "-o", o]))
    {
        let traces = did.yaml();
        assert_eq!(traces[0]["id"], receipt.trace_id);
        assert!(traces[0]["spans"][0]["operation"].is_string(), "{traces}");
    }
}

#[test]
fn an_order_without_a_trace_and_what_is_no_order_are_told_apart() {
    let target = target();
    let nobodys = "00000000-0000-7000-8000-000000000000";
    run(&target.namespace, &["trace", nobodys]).check(2, "knows no order");
    run(&target.namespace, &["trace", "42"]).check(2, "invalid value '42' for '<ORDER>'");
}

#[test]
fn dead_letters_are_counted_for_every_service_that_gets_events() {
    let target = target();
    let queues = run(&target.namespace, &["dlq", "ls", "-o", "json"]).json();
    let names: Vec<&str> =
        queues.as_array().expect("a list").iter().filter_map(|queue| queue["service"].as_str()).collect();
    assert_eq!(names, ["product", "cart", "order", "payment", "delivery"]);
    let in_yaml = run(&target.namespace, &["dlq", "ls", "-o", "yaml"]).yaml();
    assert_eq!(in_yaml[0]["service"], "product");
    run(&target.namespace, &["dlq", "show", "user"]).check(2, "user consumes no events; those that do: product, cart,");
    run(&target.namespace, &["dlq", "replay", "cart", "no-such-id"]).check(2, "cart has no dead letter no-such-id");
    run(&target.namespace, &["dlq", "replay", "cart"]).check(2, "<ID>");
}

#[tokio::test]
async fn dead_letters_at_a_broker_of_somebody_else_are_reached_through_its_service() {
    let target = target();
    with_scene(async |scene| {
        // To the Shop of this test the broker of the other one is somebody else's. The operator would write the same.
        let acorn = json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn"},
            "spec": {"rabbitmq": {"external": {"secretName": "broker"}}},
        });
        scene.create::<Shop>(acorn).await;
        let Target { shop, namespace, .. } = &target;
        let theirs: Api<Secret> = Api::namespaced(scene.client.clone(), namespace);
        for service in ["product", "cart", "order", "payment", "delivery"] {
            let secret = theirs.get(&format!("{shop}-{service}")).await.expect("the other Shop runs");
            let url = secret.data.expect("data")["SHOP_AMQP__URL"].0.clone();
            let url = String::from_utf8(url).expect("text");
            let url = url.replace(&format!("@{shop}-rabbitmq:"), &format!("@{shop}-rabbitmq.{namespace}.svc:"));
            let metadata = json!({"name": format!("acorn-{service}")});
            scene.create::<Secret>(json!({"metadata": metadata, "stringData": {"SHOP_AMQP__URL": url}})).await;
        }
        let authorities: Api<ConfigMap> = Api::namespaced(scene.client.clone(), namespace);
        let authorities = authorities.get(&format!("{shop}-store-authorities")).await.expect("the broker encrypts");
        let metadata = json!({"name": "acorn-store-authorities"});
        scene.create::<ConfigMap>(json!({"metadata": metadata, "data": authorities.data})).await;

        let queues = run(&scene.namespace, &["dlq", "ls", "-o", "json"]).json();
        let counted = |queue: &Value| queue["messages"].is_u64();
        assert!(queues.as_array().is_some_and(|queues| queues.len() == 5 && queues.iter().all(counted)), "{queues}");
    })
    .await;
}
