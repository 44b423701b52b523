//! A rollout that fails and is taken back: a Secret of somebody else that is put right makes it tried again, one that is only
//! gone for a while does not.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::Condition;
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{Kubelet, Operator, Scene, message};

use crate::scene::with_scene;

const USER: &str = "acorn-user";

#[tokio::test]
async fn a_rollout_that_was_taken_back_is_made_again_when_a_secret_that_the_shop_names_changes() {
    with_scene(async |scene, kubelet| {
        make(&scene, json!({"metadata": {"name": "acorn-mail"}, "stringData": {"host": "wrong.test"}})).await;
        let smtp = json!({"secretName": "acorn-mail", "from": "shop@acorn.test"});
        let spec = json!({"host": "acorn.test", "users": {"mail": {"smtp": smtp}}});
        let _operator = taken_back(&scene, &kubelet, &spec).await;
        let right = Patch::Merge(json!({"stringData": {"host": "right.test"}}));
        scene.api::<Secret>().patch("acorn-mail", &PatchParams::default(), &right).await.expect("an edit");
        let status = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!((status.version.as_deref(), status.rolled_back), (Some("9.9.9"), None));
    })
    .await;
}

#[tokio::test]
async fn a_rollout_that_was_taken_back_stays_so_while_the_secret_of_a_store_is_gone_and_when_it_is_back() {
    with_scene(async |scene, kubelet| {
        let cache = json!({
            "metadata": {"name": "acorn-cache"}, "stringData": {"host": "cache.test", "password": "secret"},
        });
        make(&scene, cache.clone()).await;
        let spec = json!({"host": "acorn.test", "redis": {"external": {"secretName": "acorn-cache"}}});
        let _operator = taken_back(&scene, &kubelet, &spec).await;
        let failed = scene.shop().await.status.expect("a status").rolled_back.expect("what failed");

        let still = |shop: Shop| shop.status.and_then(|status| status.rolled_back);
        scene.api::<Secret>().delete("acorn-cache", &DeleteParams::default()).await.expect("a deletion");
        scene.touch().await;
        let gone = scene.until_shop("DependenciesReady", "False", Some("StoreSecretMissing")).await;
        let told = message(&gone, "RolledBack");
        assert!(told.contains("Secret acorn-cache does not exist"), "{told}");
        assert_eq!(still(gone), Some(failed.clone()));
        make(&scene, cache).await;
        scene.touch().await;
        let back = scene.until_shop("DependenciesReady", "True", None).await;
        assert_eq!(still(back), Some(failed));
        scene.until(USER, "is the version before", of_version(env!("CARGO_PKG_VERSION"))).await;
    })
    .await;
}

async fn make(scene: &Scene, secret: Value) {
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
}

/// A Shop whose user service does not become ready in another version, and so runs the one before; with its operator.
async fn taken_back(scene: &Scene, kubelet: &Kubelet, spec: &Value) -> Operator {
    scene.create(spec).await.expect("a Shop");
    let operator = scene.operate();
    scene.until_shop("Ready", "True", None).await;
    kubelet.break_down("user").await.expect("a report");
    scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
    scene.until(USER, "is the new version", of_version("9.9.9")).await;
    drop(operator);
    scene.minutes_pass(USER).await;

    let operator = scene.operate();
    scene.until_shop("RolledBack", "True", None).await;
    scene.until(USER, "is the version before", of_version(env!("CARGO_PKG_VERSION"))).await;
    kubelet.mend("user").await.expect("a report");
    scene.until_shop("ServicesReady", "True", None).await;
    operator
}

fn of_version(version: &'static str) -> impl Condition<Deployment> {
    move |found: Option<&Deployment>| {
        let spec = found.and_then(|found| found.spec.as_ref()?.template.spec.as_ref());
        let mut images = spec.into_iter().flat_map(|spec| &spec.containers).filter_map(|found| found.image.as_ref());
        images.any(|image| image.ends_with(&format!(":{version}")))
    }
}
