//! Credentials that are too old are replaced without anybody asking, and those that an earlier version did not have are added.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use shopkeeper_testing::rotation::{arrives_at, ask, generation, its_time_is_over};

use crate::scene::with_scene;

#[tokio::test]
async fn credentials_that_are_too_old_are_replaced_without_being_asked_and_once() {
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test", "credentials": {"maxAge": "1h"}})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        scene.until_shop("CredentialsSettled", "True", None).await;
        for stage in ["Publishing", "Moving", "Closing"] {
            its_time_is_over(&scene).await;
            arrives_at(&scene, stage).await;
        }
        its_time_is_over(&scene).await;
        scene.until_shop("CredentialsSettled", "True", None).await;
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(generation(&scene).await, 1);
    })
    .await;
}

#[tokio::test]
async fn credentials_are_replaced_though_the_certificate_of_the_ingress_is_no_good() {
    with_scene(async |scene, _kubelet| {
        let damaged = json!({
            "metadata": {"name": "acorn-edge"}, "stringData": {"tls.crt": "damaged", "tls.key": "damaged"},
        });
        let damaged: Secret = serde_json::from_value(damaged).expect("a Secret");
        scene.api().create(&PostParams::default(), &damaged).await.expect("a Secret");
        let spec = json!({"host": "acorn.test", "ingress": {"tls": {"secretName": "acorn-edge"}}});
        scene.create(&spec).await.expect("a Shop");
        let _operator = scene.operate();
        let unreadable = async || scene.until_shop("Ready", "False", Some("IngressCertificateUnreadable")).await;
        unreadable().await;
        ask(&scene).await;
        for stage in ["Publishing", "Moving", "Closing"] {
            scene.until_shop("CredentialsSettled", "False", Some(stage)).await;
            unreadable().await;
            its_time_is_over(&scene).await;
        }
        scene.until_shop("CredentialsSettled", "True", None).await;
        unreadable().await;
        assert_eq!(generation(&scene).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_value_that_an_earlier_version_did_not_make_is_added_once_and_the_others_stay() {
    const CREDENTIALS: &str = "acorn-credentials";
    const ADDED: &str = "mongodb.user";
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        let api = scene.api::<Secret>();
        let read = async || api.get(CREDENTIALS).await.expect("the credentials").data.expect("data");
        let before = read().await;
        let without = json!({"data": {ADDED: null}});
        api.patch(CREDENTIALS, &PatchParams::default(), &Patch::Merge(without)).await.expect("an edit");

        scene.writes_of_a_reconcile().await;
        let after = read().await;
        assert!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
        let differing: Vec<&String> = before.keys().filter(|key| before[*key] != after[*key]).collect();
        assert_eq!(differing, [ADDED], "it was made anew, and nothing else");
        scene.writes_of_a_reconcile().await;
        assert_eq!(read().await, after, "once");
    })
    .await;
}
