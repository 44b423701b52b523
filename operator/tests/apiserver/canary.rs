//! A canary beside its service, from its migration to its end.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::json;
use shopkeeper_testing::{Scene, message};

use crate::scene::with_scene;
use crate::steady::NOTHING;

async fn until_share(scene: &Scene, share: &str) {
    let wanted = |found: Option<&ConfigMap>| {
        let shares = found.and_then(|found| found.data.as_ref());
        shares.and_then(|shares| shares.get("order")).is_some_and(|found| found == share)
    };
    scene.until("acorn-traffic", &format!("gives order's canary {share} %"), wanted).await;
}

#[tokio::test]
async fn a_canary_gets_its_share_when_it_is_ready_and_is_taken_away_when_it_crashes() {
    with_scene(async |scene, kubelet| {
        let canary =
            json!({"services": {"order": {"canary": {"version": "9.9.9", "weight": 20}}}, "host": "acorn.test"});
        scene.create(&canary).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("CanaryPromoted", "False", Some("Progressing")).await;
        until_share(&scene, "20").await;
        scene.until_shop("Ready", "True", None).await;
        scene.api::<Service>().get("acorn-order-canary-grpc").await.expect("a name for its pods");
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING, "a canary that is only there costs no write");

        let _operator = scene.operate();
        let before = scene.pods("order").await;
        kubelet.break_down("order-canary").await.expect("a report");
        let shop = scene.until_shop("CanaryPromoted", "False", Some("RolledBack")).await;
        let told = message(&shop, "CanaryPromoted");
        assert!(told.starts_with("order 9.9.9 at 20 %: it "), "{told}");
        until_share(&scene, "0").await;
        scene.until("acorn-order-canary", "is gone", |found: Option<&Deployment>| found.is_none()).await;
        scene.until("acorn-order-canary-grpc", "is gone", |found: Option<&Service>| found.is_none()).await;
        let forgotten = |found: Option<&NetworkPolicy>| {
            let selector = found.and_then(|found| found.spec.as_ref()?.pod_selector.as_ref());
            selector.is_some_and(|selector| selector.match_expressions.is_none())
        };
        scene.until("acorn-order", "is for order's other pods alone", forgotten).await;
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(scene.pods("order").await, before, "the service itself was never touched");
    })
    .await;
}
