//! Credentials that are too old are replaced without anybody asking, and those that an earlier version did not have are added. What
//! services show each other meanwhile, and what a rotation waits for.

mod identity;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use shopkeeper_operator::names;
use shopkeeper_testing::rotation::{arrives_at, ask, generation, its_time_is_over, standing};
use shopkeeper_testing::{SHOP, Scene};

use self::identity::Identity;
use crate::scene::with_scene;
use crate::steady::ready;

/// Which generation is in use, and the stage.
async fn place(scene: &Scene) -> (u64, String) {
    let secret: Secret = scene.api().get(&names::credentials(SHOP)).await.expect("the credentials");
    standing(&secret.data.expect("data"))
}

#[tokio::test]
async fn credentials_that_are_too_old_are_replaced_without_being_asked_and_once_and_every_stage_is_an_event() {
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
        let events = scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
        let told: BTreeSet<String> = events.into_iter().filter_map(|event| event.reason).collect();
        for stage in ["CredentialsPublishing", "CredentialsMoving", "CredentialsClosing"] {
            assert!(told.contains(stage), "{stage} is not among {told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn services_know_each_other_throughout_a_rotation_and_nobody_by_the_former_authority_afterwards() {
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let first = Identity::of(&scene, "order").await;
        let mut before = first.clone();
        ask(&scene).await;
        for stage in ["Publishing", "Moving", "Closing"] {
            arrives_at(&scene, stage).await;
            let now = Identity::of(&scene, "order").await;
            assert!(now.is_taken_by(&before), "{stage}: by pods that have the files of before");
            assert!(before.is_taken_by(&now), "{stage}: by pods that have the files of now");
            assert_eq!(now.is_taken_by(&first), stage == "Publishing", "{stage}: who issued it");
            before = now;
            its_time_is_over(&scene).await;
        }
        scene.until_shop("CredentialsSettled", "True", None).await;
        let last = Identity::of(&scene, "order").await;
        assert!(last.is_taken_by(&before) && before.is_taken_by(&last));
        assert!(!first.is_taken_by(&last), "the former authority is trusted for ever");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_stands_still_while_the_shop_is_paused_or_sleeps_and_then_goes_on() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        ask(&scene).await;
        scene.writes_of_a_reconcile().await;
        let begun = (0, "Publishing".to_owned());
        assert_eq!(place(&scene).await, begun);

        scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
        its_time_is_over(&scene).await;
        scene.writes_of_a_reconcile().await;
        scene.until_shop_of_any_generation("Paused", "True").await;
        assert_eq!(place(&scene).await, begun, "it is paused");

        scene.edit(&json!({"lifecycle": {"paused": false, "hibernated": true}})).await.expect("an edit");
        let operator = scene.operate();
        scene.until_shop("Hibernated", "True", None).await;
        drop(operator);
        its_time_is_over(&scene).await;
        scene.writes_of_a_reconcile().await;
        assert_eq!(place(&scene).await, begun, "it sleeps");

        let _operator = scene.operate();
        scene.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
        for stage in ["Moving", "Closing"] {
            arrives_at(&scene, stage).await;
            its_time_is_over(&scene).await;
        }
        scene.until_shop("CredentialsSettled", "True", None).await;
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(generation(&scene).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_rotation_waits_for_pods_that_finish_their_work_with_the_log_ins_that_they_started_with() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        let (pods, former) = (scene.api::<Pod>(), finishing_for_an_hour());
        pods.create(&PostParams::default(), &former).await.expect("a pod");
        pods.delete(FORMER, &DeleteParams::default()).await.expect("a deletion");
        ask(&scene).await;
        scene.writes_of_a_reconcile().await;
        scene.until_shop("CredentialsSettled", "False", Some("Requested")).await;
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(place(&scene).await, (0, "Settled".to_owned()), "nobody waits for it");

        pods.delete(FORMER, &DeleteParams::default().grace_period(0)).await.expect("a deletion");
        scene.writes_of_a_reconcile().await;
        assert_eq!(place(&scene).await, (0, "Publishing".to_owned()));
    })
    .await;
}

const FORMER: &str = "acorn-order-former";

/// A pod of order on a node: without one it would be gone as soon as it is deleted.
fn finishing_for_an_hour() -> Pod {
    let container = json!({
        "name": "order", "image": "order",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let pod = json!({
        "metadata": {"name": FORMER, "labels": names::labels(SHOP, "order", "1.2.3")},
        "spec": {
            "nodeName": "acorn-node", "terminationGracePeriodSeconds": 3600, "serviceAccountName": "acorn-order",
            "automountServiceAccountToken": false, "containers": [container],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    });
    serde_json::from_value(pod).expect("a pod")
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
