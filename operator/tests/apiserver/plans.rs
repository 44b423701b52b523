//! A plan, where a look at the pure steps is not enough.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::PostParams;
use ring::rand::SystemRandom;
use serde_json::json;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::observe::observe;
use shopkeeper_operator::plan::{Action, Facts, find_taken, plan};
use shopkeeper_testing::message;

use crate::scene::with_scene;

#[tokio::test]
async fn a_plan_names_the_objects_of_somebody_else_at_which_the_operator_stops() {
    with_scene(async |scene, _kubelet| {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "acorn-cart"}, "spec": {"ports": [{"port": 1}], "selector": {"app": "theirs"}},
        }))
        .expect("a Service");
        scene.api().create(&PostParams::default(), &service).await.expect("a Service");
        let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "acorn-order"}})).expect("a Secret");
        scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
        let shop = scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");

        let facts = Facts {
            shop: &shop,
            before: None,
            others: &Vec::<Arc<Shop>>::new(),
            settings: &scene.settings,
            now: Timestamp::now(),
            random: &SystemRandom::new(),
        };
        let observed = observe(&scene.client, &shop).await.expect("the cluster can be read");
        let changes = plan(&facts, observed).expect("a plan");
        let changes = find_taken(&scene.client, &shop, changes).await.expect("names can be looked up");
        let taken = changes.iter().filter(|change| change.action == Action::Taken);
        let taken: Vec<String> = taken.map(|change| format!("{} {}", change.kind, change.name)).collect();
        assert_eq!(taken, ["Secret acorn-order", "Service acorn-cart"]);

        let _operator = scene.operate();
        let shop = scene.until_shop("Ready", "False", Some("NameTaken")).await;
        let told = message(&shop, "Ready");
        assert!(told.contains(&taken[0]), "{told}");
    })
    .await;
}
