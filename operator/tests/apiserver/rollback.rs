//! A rollout that fails because of a Secret of somebody else, and is tried again when that is put right.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::wait::Condition;
use serde_json::json;

use crate::scene::with_scene;

const USER: &str = "acorn-user";

#[tokio::test]
async fn a_rollout_that_was_taken_back_is_made_again_when_a_secret_that_the_shop_names_changes() {
    with_scene(async |scene, kubelet| {
        let mail = json!({"metadata": {"name": "acorn-mail"}, "stringData": {"host": "wrong.test"}});
        let mail: Secret = serde_json::from_value(mail).expect("a Secret");
        scene.api().create(&PostParams::default(), &mail).await.expect("a Secret");
        let smtp = json!({"secretName": "acorn-mail", "from": "shop@acorn.test"});
        scene.create(&json!({"host": "acorn.test", "users": {"mail": {"smtp": smtp}}})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        kubelet.break_down("user").await.expect("a report");
        scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
        scene.until(USER, "is the new version", of_version("9.9.9")).await;
        drop(operator);
        scene.minutes_pass(USER).await;

        let _operator = scene.operate();
        scene.until_shop("RolledBack", "True", None).await;
        scene.until(USER, "is the version before", of_version(env!("CARGO_PKG_VERSION"))).await;
        kubelet.mend("user").await.expect("a report");
        scene.until_shop("ServicesReady", "True", None).await;
        let right = Patch::Merge(json!({"stringData": {"host": "right.test"}}));
        scene.api::<Secret>().patch("acorn-mail", &PatchParams::default(), &right).await.expect("an edit");
        let status = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!((status.version.as_deref(), status.rolled_back), (Some("9.9.9"), None));
    })
    .await;
}

fn of_version(version: &'static str) -> impl Condition<Deployment> {
    move |found: Option<&Deployment>| {
        let spec = found.and_then(|found| found.spec.as_ref()?.template.spec.as_ref());
        let mut images = spec.into_iter().flat_map(|spec| &spec.containers).filter_map(|found| found.image.as_ref());
        images.any(|image| image.ends_with(&format!(":{version}")))
    }
}
