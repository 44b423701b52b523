//! Stores whose pod cannot do its work, and what becomes of it when the cause is corrected.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use serde_json::json;
use shopkeeper_testing::Scene;

use crate::scene::with_scene;
use crate::steady::{NOTHING, ready};

/// The pod of Redis and its volume.
const POD: &str = "acorn-redis-0";
const VOLUME: &str = "data-acorn-redis-0";

/// Corrects the Shop; whether that helped shows in the next pod.
async fn correct(scene: &Scene) {
    let before: Pod = scene.api().get(POD).await.expect("a pod");
    let volume: PersistentVolumeClaim = scene.api().get(VOLUME).await.expect("a volume");
    scene.edit(&json!({"image": {"pullSecrets": ["acorn-registry"]}})).await.expect("an edit");
    let is_another = |found: Option<&Pod>| found.is_some_and(|found| found.uid() != before.uid());
    let pod = scene.until(POD, "is another one", is_another).await.expect("a pod");
    assert!(pod.spec.expect("a spec").image_pull_secrets.is_some(), "it is of the template of before");
    let same: PersistentVolumeClaim = scene.api().get(VOLUME).await.expect("a volume");
    assert_eq!(same.uid(), volume.uid());
}

#[tokio::test]
async fn a_store_whose_image_could_not_be_pulled_starts_when_the_shop_is_corrected() {
    with_scene(async |scene, kubelet| {
        kubelet.withhold_image("redis").await.expect("a report");
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("DependenciesReady", "False", Some("ImagePullBackOff")).await;
        correct(&scene).await;
        kubelet.mend("redis").await.expect("a report");
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_crashed_again_and_again_keeps_its_volume_when_its_pod_is_replaced() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        kubelet.break_down("redis").await.expect("a report");
        let _operator = scene.operate();
        scene.until_shop("DependenciesReady", "False", Some("CrashLoopBackOff")).await;
        correct(&scene).await;
        kubelet.mend("redis").await.expect("a report");
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}
