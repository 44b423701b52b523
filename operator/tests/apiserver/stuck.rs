//! Stores whose pod cannot do its work, and what becomes of it when the cause is corrected.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::runtime::wait::conditions;
use serde_json::{Value, json};
use shopkeeper_testing::{Kubelet, Scene};

use crate::scene::with_scene;
use crate::steady::{NOTHING, block, edit, ready, repairs};

/// Redis, its pod and its volume.
const REDIS: &str = "acorn-redis";
const POD: &str = "acorn-redis-0";
const VOLUME: &str = "data-acorn-redis-0";

/// An edit that changes the template of every pod.
fn correction() -> Value {
    json!({"image": {"pullSecrets": ["acorn-registry"]}})
}

/// Whether a pod is of the corrected template.
fn is_corrected(found: Option<&Pod>) -> bool {
    found.and_then(|pod| pod.spec.as_ref()).is_some_and(|spec| spec.image_pull_secrets.is_some())
}

/// Corrects the Shop; whether that helped shows in the next pod.
async fn correct(scene: &Scene) {
    let before: Pod = scene.api().get(POD).await.expect("a pod");
    let volume: PersistentVolumeClaim = scene.api().get(VOLUME).await.expect("a volume");
    scene.edit(&correction()).await.expect("an edit");
    let is_another = |found: Option<&Pod>| found.is_some_and(|found| found.uid() != before.uid());
    let pod = scene.until(POD, "is another one", is_another).await;
    assert!(is_corrected(pod.as_ref()), "it is of the template of before");
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

/// Redis could not start, was corrected, and has lent its replica; nobody looks after the Shop. Waits for the pod to go.
async fn lend_its_replica(scene: &Scene, kubelet: &Kubelet) {
    kubelet.withhold_image("redis").await.expect("a report");
    scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
    let operator = scene.operate();
    scene.until_shop("DependenciesReady", "False", Some("ImagePullBackOff")).await;
    drop(operator);
    let before: Pod = scene.api().get(POD).await.expect("a pod");
    scene.edit(&correction()).await.expect("an edit");
    scene.writes_of_a_reconcile().await;
    scene.until::<StatefulSet>(REDIS, "is heard of", is_heard_of).await;
    scene.writes_of_a_reconcile().await;
    assert_eq!(replicas(scene).await, Some(0));
    scene.until::<Pod>(POD, "makes room", conditions::is_deleted(&before.uid().expect("a uid"))).await;
    kubelet.mend("redis").await.expect("a report");
}

/// Whether the controller of a StatefulSet has seen its present template.
fn is_heard_of(found: Option<&StatefulSet>) -> bool {
    let seen = found.and_then(|found| found.status.as_ref()?.observed_generation);
    found.is_some_and(|found| seen >= found.metadata.generation)
}

async fn replicas(scene: &Scene) -> Option<i32> {
    let set: StatefulSet = scene.api().get(REDIS).await.expect("a StatefulSet");
    set.spec.expect("a spec").replicas
}

#[tokio::test]
async fn a_shop_that_is_paused_while_a_store_has_no_pod_gets_it_back_and_a_store_that_somebody_stopped_stays_so() {
    with_scene(async |scene, kubelet| {
        Box::pin(lend_its_replica(&scene, &kubelet)).await;
        scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
        let operator = scene.operate();
        scene.until::<Pod>(POD, "is the corrected one", is_corrected).await;
        scene.until_shop_of_any_generation("Paused", "True").await;
        drop(operator);

        edit::<StatefulSet>(&scene, REDIS, json!({"spec": {"replicas": 0}})).await;
        assert_eq!(repairs(&scene).await, NOTHING);
        assert_eq!(replicas(&scene).await, Some(0));

        let _operator = scene.operate();
        scene.edit(&json!({"lifecycle": {"paused": false}})).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn a_shop_that_is_blocked_while_a_store_has_no_pod_gets_it_back() {
    with_scene(async |scene, kubelet| {
        Box::pin(lend_its_replica(&scene, &kubelet)).await;
        block(&scene).await;
        let _operator = scene.operate();
        scene.until::<Pod>(POD, "is the corrected one", is_corrected).await;
        scene.until_shop("Ready", "False", Some("NameTaken")).await;
    })
    .await;
}
