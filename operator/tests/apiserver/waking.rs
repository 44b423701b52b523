//! Shops that fall asleep in the middle of something, and wake: with a migration that fails, and with an autoscaler.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::wait::Condition;
use serde_json::{Value, json};
use shopkeeper_operator::names;
use shopkeeper_operator::rollout::rolled_out;
use shopkeeper_testing::{Scene, message};

use crate::scene::with_scene;
use crate::steady::{NOTHING, ready, repairs};

const ORDER: &str = "acorn-order";
/// The version that a Shop has which asks for none.
const FIRST: &str = env!("CARGO_PKG_VERSION");

async fn set_hibernated(scene: &Scene, hibernated: bool) {
    scene.edit(&json!({"lifecycle": {"hibernated": hibernated}})).await.expect("an edit");
}

/// Whether so many pods serve, with an image of this version.
fn serves(version: &'static str, pods: i32) -> impl Condition<Deployment> {
    move |found: Option<&Deployment>| {
        found.is_some_and(|found| rolled_out(found) && replicas(found) == Some(pods) && is_of(found, version))
    }
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

fn is_of(deployment: &Deployment, version: &str) -> bool {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let mut images = spec.into_iter().flat_map(|spec| &spec.containers).filter_map(|found| found.image.as_ref());
    images.any(|image| image.ends_with(&format!(":{version}")))
}

#[tokio::test]
async fn a_shop_that_wakes_while_a_migration_still_fails_serves_as_before_and_takes_a_corrected_version() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        kubelet.break_down("order-migrate").await.expect("a report");
        let operator = scene.operate();
        scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
        scene.until_shop("Migrated", "False", Some("MigrationFailed")).await;

        set_hibernated(&scene, true).await;
        scene.until_shop("Hibernated", "True", None).await;
        let asleep: Deployment = scene.api().get(ORDER).await.expect("a Deployment");
        assert_eq!((replicas(&asleep), is_of(&asleep, FIRST)), (Some(0), true));

        set_hibernated(&scene, false).await;
        for service in ["user", "product", "cart", "order", "payment", "delivery", "docs"] {
            scene.until(&names::component("acorn", service), "serves as before", serves(FIRST, 1)).await;
        }
        scene.until_shop("ServicesReady", "True", None).await;
        let awake = scene.until_shop("Migrated", "False", Some("MigrationFailed")).await;
        let told = message(&awake, "Migrated");
        assert!(told.contains("acorn-order-migrate") && told.contains("pods stay as they were"), "{told}");
        assert_eq!(awake.status.expect("a status").version.as_deref(), Some(FIRST));

        kubelet.mend("order-migrate").await.expect("a report");
        scene.edit(&json!({"version": "9.9.10"})).await.expect("an edit");
        let corrected = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!(corrected.version.as_deref(), Some("9.9.10"));
        scene.until(ORDER, "serves as wanted", serves("9.9.10", 1)).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
    })
    .await;
}

#[tokio::test]
async fn a_deployment_that_is_deleted_while_a_migration_cannot_start_is_made_with_the_image_that_was_ready() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        kubelet.withhold_image("order-migrate").await.expect("a report");
        let _operator = scene.operate();
        scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
        scene.until_shop("Migrated", "False", Some("ImagePullBackOff")).await;
        scene.api::<Deployment>().delete(ORDER, &DeleteParams::background()).await.expect("a deletion");
        scene.until(ORDER, "serves as before", serves(FIRST, 1)).await;
    })
    .await;
}

/// What an autoscaler does: none runs here.
async fn scale(scene: &Scene, pods: i32) {
    let number = Patch::Merge(json!({"spec": {"replicas": pods}}));
    scene.api::<Deployment>().patch_scale(ORDER, &PatchParams::default(), &number).await.expect("a number");
}

async fn has_autoscaler(scene: &Scene) -> bool {
    scene.api::<HorizontalPodAutoscaler>().get_opt(ORDER).await.expect("an answer").is_some()
}

fn by_load() -> Value {
    json!({"host": "acorn.test", "services": {"order": {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}}})
}

#[tokio::test]
async fn a_shop_falls_asleep_from_the_number_of_its_autoscaler_and_wakes_with_the_least_for_it_to_change() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &by_load()).await;
        scale(&scene, 4).await;
        let operator = scene.operate();
        scene.until(ORDER, "has what its autoscaler says", serves(FIRST, 4)).await;

        set_hibernated(&scene, true).await;
        scene.until_shop("Hibernated", "True", None).await;
        let asleep: Deployment = scene.api().get(ORDER).await.expect("a Deployment");
        assert_eq!((replicas(&asleep), has_autoscaler(&scene).await), (Some(0), false));

        set_hibernated(&scene, false).await;
        scene.until_shop("Ready", "True", None).await;
        scene.until(ORDER, "has the least", serves(FIRST, 2)).await;
        assert!(has_autoscaler(&scene).await);
        drop(operator);
        scene.writes_of_a_reconcile().await;
        scale(&scene, 3).await;
        scene.until(ORDER, "has what its autoscaler says", serves(FIRST, 3)).await;
        assert_eq!(repairs(&scene).await, NOTHING);
        scene.edit(&json!({"services": {"order": {"logLevel": "debug"}}})).await.expect("an edit");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        scene.until(ORDER, "keeps that number", serves(FIRST, 3)).await;
    })
    .await;
}

#[tokio::test]
async fn a_shop_that_slept_while_a_migration_could_not_start_wakes_with_its_autoscaler() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &by_load()).await;
        scale(&scene, 4).await;
        kubelet.withhold_image("product-migrate").await.expect("a report");
        let _operator = scene.operate();
        scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
        scene.until_shop("Migrated", "False", Some("ImagePullBackOff")).await;
        set_hibernated(&scene, true).await;
        scene.until_shop("Hibernated", "True", None).await;
        let asleep: Deployment = scene.api().get(ORDER).await.expect("a Deployment");
        assert_eq!((replicas(&asleep), has_autoscaler(&scene).await), (Some(0), false));

        set_hibernated(&scene, false).await;
        scene.until(ORDER, "has the least of before", serves(FIRST, 2)).await;
        scene.until_shop("ServicesReady", "True", None).await;
        assert!(has_autoscaler(&scene).await);
        scale(&scene, 3).await;
        kubelet.mend("product-migrate").await.expect("a report");
        scene.until_shop("Ready", "True", None).await;
        scene.until(ORDER, "keeps what its autoscaler says", serves("9.9.9", 3)).await;
    })
    .await;
}
