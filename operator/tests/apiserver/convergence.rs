//! A Shop that is there: it costs nothing, and what others have made is left alone.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceSpec};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::runtime::wait::Condition;
use kube::{Resource, ResourceExt};
use serde_json::json;
use shopkeeper_operator::apply::{Error, apply};
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{Phase, Shop};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::observe::{Observed, observe};
use shopkeeper_operator::rollout;
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::validate;
use shopkeeper_testing::{SHOP, Scene, message};

use crate::scene::with_scene;
use crate::steady::{NOTHING, edit, ready, repairs};

/// Everything that belongs to the test's Shop.
const OURS: &str = "app.kubernetes.io/instance=acorn";

#[tokio::test]
async fn a_new_shop_is_told_that_it_was_seen_before_it_is_made() {
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let writes = scene.writes_of_a_reconcile().await;
        let told = writes.iter().position(|line| line.ends_with("/shops/acorn/status")).expect("a status");
        assert!(writes[..told].iter().all(|line| line.contains("/secrets")), "{writes:?}");
        assert!(writes.len() > told + 50, "{writes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_steady_shop_costs_no_write() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
        let spec = json!({"services": {"order": {"replicas": 2, "resources": {"limits": {"cpu": "0.5"}}}}});
        scene.edit(&spec).await.expect("an edit");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING, "amounts in another spelling are no difference");
    })
    .await;
}

#[tokio::test]
async fn a_field_that_leaves_the_spec_leaves_the_object_and_what_others_added_stays() {
    with_scene(async |scene, _kubelet| {
        let annotations = json!({"acorn.test/one": "1", "acorn.test/two": "2"});
        ready(&scene, &json!({"host": "acorn.test", "ingress": {"annotations": annotations}})).await;
        edit::<Ingress>(&scene, SHOP, json!({"metadata": {"annotations": {"controller.test/note": "mine"}}})).await;
        assert_eq!(repairs(&scene).await, NOTHING, "what others add is theirs");
        let fewer = json!({"ingress": {"annotations": {"acorn.test/two": null}}});
        scene.edit(&fewer).await.expect("an edit");
        assert_eq!(repairs(&scene).await.len(), 1);
        let ingress: Ingress = scene.api().get(SHOP).await.expect("the Ingress");
        let left: Vec<&str> = ingress.annotations().keys().map(String::as_str).collect();
        assert_eq!(left, ["acorn.test/one", "controller.test/note", "shopkeeper.dev/applied"]);
    })
    .await;
}

#[tokio::test]
async fn an_object_that_a_finalizer_of_somebody_keeps_is_left_alone_until_it_is_gone_and_then_made_again() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        edit::<Service>(&scene, "acorn-cart", json!({"metadata": {"finalizers": ["controller.test/mine"]}})).await;
        let kept = scene.api::<Service>().delete("acorn-cart", &DeleteParams::default()).await.expect("a deletion");
        let kept = kept.left().expect("a Service that is kept").uid();
        assert_eq!(repairs(&scene).await, NOTHING);
        let _operator = scene.operate();
        edit::<Service>(&scene, "acorn-cart", json!({"metadata": {"finalizers": null}})).await;
        let again = |found: Option<&Service>| found.is_some_and(|found| found.uid() != kept);
        scene.until("acorn-cart", "is made again", again).await;
        assert!(scene.shop().await.finalizers().is_empty(), "nothing of ours keeps a Shop from going");
    })
    .await;
}

#[tokio::test]
async fn the_private_keys_of_a_mesh_that_is_switched_off_go_after_the_pods_that_read_them() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        // It is found by its name, and is not the Shop's any more.
        edit::<Secret>(&scene, "acorn-cart-identity", json!({"metadata": {"ownerReferences": null}})).await;
        let operator = scene.operate();
        kubelet.break_down("order").await.expect("a report");
        scene.edit(&json!({"mesh": {"mtls": "Off"}})).await.expect("an edit");
        scene
            .until("acorn-order", "has no certificate", |found: Option<&Deployment>| found.is_some_and(is_plain))
            .await;
        scene.until_shop("ServicesReady", "False", Some("CrashLoopBackOff")).await;
        scene.api::<Secret>().get("acorn-order-identity").await.expect("a pod of before needs it");

        kubelet.mend("order").await.expect("a report");
        scene.until("acorn-order-identity", "is gone", |found: Option<&Secret>| found.is_none()).await;
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        let left = scene.names::<Secret>(OURS).await;
        let certificates: Vec<&String> =
            left.iter().filter(|name| name.ends_with("-identity") || name.ends_with("-tls")).collect();
        assert_eq!(certificates, ["acorn-cart-identity"]);
        assert!(left.contains("acorn-credentials") && left.contains("acorn-order"), "{left:?}");
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);

        scene.api::<Secret>().delete("acorn-cart-identity", &DeleteParams::default()).await.expect("a deletion");
        let operator = scene.operate();
        scene.edit(&json!({"mesh": {"mtls": "Strict"}})).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.names::<Secret>(OURS).await.difference(&left).count(), 6, "new ones are made");
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
    })
    .await;
}

/// Whether the pods of a Deployment mount no certificate.
fn is_plain(found: &Deployment) -> bool {
    let pod = found.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.is_some_and(|pod| pod.volumes.iter().flatten().all(|volume| volume.name != "identity"))
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over_because_of_its_name() {
    with_scene(async |scene, _kubelet| {
        let theirs: Service = serde_json::from_value(json!({
            "metadata": {"name": "acorn-cart"}, "spec": {"ports": [{"port": 1}], "selector": {"app": "theirs"}},
        }))
        .expect("a Service");
        let theirs = scene.api().create(&PostParams::default(), &theirs).await.expect("a Service");
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let _operator = scene.operate();
        let shop = scene.until_shop("Ready", "False", Some("NameTaken")).await;
        let told = message(&shop, "Ready");
        assert!(told.contains("Service acorn-cart exists and does not belong to this Shop"), "{told}");
        assert_eq!(shop.status.expect("a status").phase, Some(Phase::Blocked));
        let untouched: Service = scene.api().get("acorn-cart").await.expect("the Service");
        assert_eq!(untouched.resource_version(), theirs.resource_version());

        scene.api::<Service>().delete("acorn-cart", &DeleteParams::default()).await.expect("a deletion");
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn an_object_that_another_controller_took_is_named_until_it_is_given_back() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        let theirs: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).expect("a ConfigMap");
        let theirs = scene.api().create(&PostParams::default(), &theirs).await.expect("a ConfigMap");
        let owner = theirs.controller_owner_ref(&()).expect("a reference");
        edit::<Service>(&scene, "acorn-cart", json!({"metadata": {"ownerReferences": [owner]}})).await;
        let _operator = scene.operate();
        let shop = scene.until_shop("Ready", "False", Some("OtherController")).await;
        let told = message(&shop, "Ready");
        assert!(told.contains("Service acorn-cart is controlled by ConfigMap theirs"), "{told}");
        assert_eq!(shop.status.expect("a status").phase, Some(Phase::Blocked));

        edit::<Service>(&scene, "acorn-cart", json!({"metadata": {"ownerReferences": null}})).await;
        scene.touch().await;
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_taken_for_credentials_because_of_its_name() {
    with_scene(async |scene, _kubelet| {
        let theirs = json!({"metadata": {"name": "acorn-credentials"}, "stringData": {"password": "theirs"}});
        let theirs: Secret = serde_json::from_value(theirs).expect("a Secret");
        let theirs = scene.api().create(&PostParams::default(), &theirs).await.expect("a Secret");
        scene.create(&json!({"host": "acorn.test", "lifecycle": {"dataOnDelete": "Delete"}})).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("Ready", "False", Some("NameTaken")).await;
        let untouched: Secret = scene.api().get("acorn-credentials").await.expect("the Secret");
        assert_eq!(untouched.resource_version(), theirs.resource_version());
    })
    .await;
}

#[tokio::test]
async fn what_took_the_place_of_an_object_since_it_was_read_is_not_written_to() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        let shop = scene.shop().await;
        let mut observed = observe(&scene.client, &shop).await.expect("the cluster can be read");
        // So that there is something to write.
        observed.objects.services.iter_mut().for_each(|service| service.spec = None);
        let read: Service = scene.api().get("acorn-cart").await.expect("the Service");
        let again = Service {
            metadata: ObjectMeta { uid: None, resource_version: None, ..read.metadata },
            spec: read.spec.map(|spec| ServiceSpec { cluster_ip: None, cluster_ips: None, ..spec }),
            status: None,
        };
        scene.api::<Service>().delete("acorn-cart", &DeleteParams::default()).await.expect("a deletion");
        let again = scene.api().create(&PostParams::default(), &again).await.expect("a Service");

        let others = Vec::<Arc<Shop>>::new();
        let valid = validate(&shop, &others, &scene.settings, Credentials::dummy(), &Found::default());
        let valid = valid.expect("a valid Shop");
        let Observed { objects, pods, ingress_classes, .. } = observed;
        let rollout = rollout::plan(&valid, build(&valid), &objects, &pods, &ingress_classes, Timestamp::now());
        let outcome = apply(&scene.client, &valid, rollout, objects).await;
        assert!(matches!(&outcome, Err(Error::Replaced { name, .. }) if name == "acorn-cart"), "{outcome:?}");
        let untouched: Service = scene.api().get("acorn-cart").await.expect("the Service");
        assert_eq!(untouched.resource_version(), again.resource_version());
    })
    .await;
}

#[tokio::test]
async fn a_service_that_does_not_start_is_told_and_the_shop_recovers_by_itself() {
    with_scene(async |scene, kubelet| {
        kubelet.break_down("order").await.expect("a list");
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let _operator = scene.operate();
        let status =
            scene.until_shop("ServicesReady", "False", Some("CrashLoopBackOff")).await.status.expect("a status");
        assert_eq!(status.phase, Some(Phase::Blocked));
        kubelet.mend("order").await.expect("a report");
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn a_crash_loop_is_told_once_however_often_the_container_starts_again() {
    with_scene(async |scene, kubelet| {
        kubelet.break_down("order").await.expect("a list");
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until::<Shop>(SHOP, "is stalled by order, and all else is ready", is_stalled_by_order).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        let before = events(&scene).await;
        for _ in 0..6 {
            kubelet.crash_on("order").await.expect("a report");
            assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
        }
        assert_eq!(events(&scene).await, before);
    })
    .await;
}

fn is_stalled_by_order(shop: Option<&Shop>) -> bool {
    let mut told = shop.iter().flat_map(|shop| &shop.status).flat_map(|status| &status.conditions);
    told.any(|told| {
        let is_of_order = told.message.starts_with("order 0/1") && !told.message.contains("; ");
        is_of_order && (&*told.type_, &*told.reason) == ("Stalled", "CrashLoopBackOff")
    })
}

/// How many times something was told of the Shop.
async fn events(scene: &Scene) -> usize {
    let told = scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
    told.iter().filter(|event| event.regarding.as_ref().is_some_and(|it| it.kind.as_deref() == Some("Shop"))).count()
}

#[tokio::test]
async fn two_operators_that_both_believe_to_lead_agree() {
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let operators = [scene.operate(), scene.operate()];
        scene.until_shop("Ready", "True", None).await;
        let secret: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        scene.edit(&json!({"services": {"cart": {"replicas": 2}}})).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
        drop(operators);
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING, "neither has anything to put right");
        let again: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert_eq!((again.uid(), again.data), (secret.uid(), secret.data), "credentials are made once");
        let pods = scene.until::<Deployment>("acorn-docs", "is rolled out once", of_revision("1")).await;
        assert!(pods.is_some());
    })
    .await;
}

fn of_revision(revision: &'static str) -> impl Condition<Deployment> {
    move |found: Option<&Deployment>| {
        found.is_some_and(|found| {
            found.annotations().get("deployment.kubernetes.io/revision").is_some_and(|r| r == revision)
        })
    }
}
