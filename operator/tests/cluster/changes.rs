//! A Shop that is changed, well and badly, while people buy, and of which a part stands still.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use shopkeeper_operator::catalog::SERVICES;
use shopkeeper_operator::crd::{Shop, ShopStatus};
use shopkeeper_testing::{Operator, Scene, message};

use crate::frozen::one_of_three_order_pods_freezes;
use crate::market::{self, Market};
use crate::scene::with_scene;

#[tokio::test]
async fn a_shop_grows_with_its_load_and_neither_new_versions_nor_bad_ones_nor_a_frozen_pod_refuse_a_request() {
    with_scene(async |scene| {
        // Nobody needs so much, not even to start.
        let product = json!({"autoscaling": {"maxReplicas": 3, "targetCPUUtilization": 1000}});
        let spec = market::spec(&scene, &json!({"services": {"product": product}}));
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(scene.pods("product").await.len(), 1, "nobody has come yet");
        let mut market = Market::open(&scene).await;

        Box::pin(market.during(the_load_decides_how_many_pods_there_are(&scene))).await;
        Box::pin(market.during(a_new_version_replaces_every_pod(&scene))).await;
        let operator = Box::pin(market.during(a_version_that_does_not_start_is_taken_back(&scene, operator))).await;
        Box::pin(market.during(a_corrected_version_goes_through(&scene))).await;
        Box::pin(market.during(a_failed_migration_leaves_the_pods_as_they_are(&scene))).await;
        Box::pin(one_of_three_order_pods_freezes(&scene, &mut market)).await;
        market.audit(&scene).await;
        drop(operator);
    })
    .await;
}

async fn the_load_decides_how_many_pods_there_are(scene: &Scene) {
    let less = json!({"autoscaling": {"targetCPUUtilization": 30}});
    scene.edit(&json!({"services": {"product": less}})).await.expect("an edit");
    scene.until_shop("AutoscalingActive", "True", None).await;
    let ready = |found: Option<&Deployment>| found.and_then(|found| found.status.as_ref()?.ready_replicas);
    scene.until("acorn-product", "grows", |found: Option<&Deployment>| ready(found) >= Some(2)).await;

    // The operator has something to do, and does nothing about the number of pods.
    scene.edit(&json!({"services": {"docs": {"logLevel": "debug"}}})).await.expect("an edit");
    let status = status(&scene.until_shop("Ready", "True", None).await);
    let desired = status.services.iter().find(|service| service.name == "product").map(|service| service.desired);
    assert!(desired >= Some(2), "the status tells of {desired:?}");
    assert!(scene.pods("product").await.len() >= 2, "the operator took the pods away again");
}

async fn a_new_version_replaces_every_pod(scene: &Scene) {
    let before = pods(scene).await;
    // The same images under the name that a registry knows them by.
    let registry = format!("docker.io/{}", scene.settings.image_registry);
    scene.edit(&json!({"image": {"registry": registry}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    let after = pods(scene).await;
    assert!(before.is_disjoint(&after), "these stayed: {:?}", before.intersection(&after));
}

async fn a_version_that_does_not_start_is_taken_back(scene: &Scene, operator: Operator) -> Operator {
    let before = scene.pods("cart").await;
    scene.edit(&json!({"services": {"cart": {"image": not_a_service(scene)}}})).await.expect("an edit");
    let shop = scene.until_shop("ServicesReady", "False", Some("CrashLoopBackOff")).await;
    let told = message(&shop, "ServicesReady");
    assert!(told.contains("unrecognized subcommand 'serve'"), "{told}");
    assert!(serves(&shop, "cart"), "the pods of before serve");

    drop(operator);
    scene.minutes_pass("acorn-cart").await;
    let operator = scene.operate();
    let returned = scene.until_shop("RolledBack", "True", None).await;
    let told = status(&returned).rolled_back.expect("what failed").message;
    assert!(told.contains("cart") && told.contains("did not become ready in time"), "{told}");
    let returned = scene.until_shop("ServicesReady", "True", None).await;
    assert_eq!(json!(returned.spec), json!(shop.spec), "the spec is nobody's but its author's");
    assert_eq!(scene.pods("cart").await, before, "no pod was replaced on the way there and back");
    operator
}

async fn a_corrected_version_goes_through(scene: &Scene) {
    let before = scene.pods("cart").await;
    let right = json!({"image": null, "logLevel": "debug"});
    scene.edit(&json!({"services": {"cart": right}})).await.expect("an edit");
    let status = status(&scene.until_shop("Ready", "True", None).await);
    assert_eq!(status.rolled_back, None);
    assert!(scene.pods("cart").await.is_disjoint(&before), "what is wanted now is not tried");
}

/// A migration fails, and what was there before is wanted again.
pub async fn a_failed_migration_leaves_the_pods_as_they_are(scene: &Scene) {
    let before = scene.pods("payment").await;
    scene.edit(&json!({"services": {"payment": {"image": not_a_service(scene)}}})).await.expect("an edit");
    let shop = scene.until_shop("Migrated", "False", Some("MigrationFailed")).await;
    let told = message(&shop, "Migrated");
    assert!(told.contains("unrecognized subcommand 'migrate'") && told.contains("pods stay as they were"), "{told}");
    assert!(serves(&shop, "payment"), "the pods of before serve");
    assert_eq!(scene.pods("payment").await, before);

    scene.edit(&json!({"services": {"payment": null}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    assert_eq!(scene.pods("payment").await, before, "the way back replaces no pod");
}

/// An image that is there, and is none of the services.
fn not_a_service(scene: &Scene) -> String {
    format!("{}/operator:{}", scene.settings.image_registry, scene.settings.version)
}

/// The pods of all services.
async fn pods(scene: &Scene) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for service in &SERVICES {
        pods.extend(scene.pods(service.name).await);
    }
    pods
}

/// Whether all pods of a service are ready. The number of those of product may be changing.
fn serves(shop: &Shop, service: &str) -> bool {
    let services = status(shop).services;
    services.iter().any(|found| found.name == service && found.ready >= found.desired)
}

fn status(shop: &Shop) -> ShopStatus {
    shop.status.clone().expect("a status")
}
