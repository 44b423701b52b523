//! A Shop from its creation to its deletion.

use std::collections::BTreeMap;

use futures::FutureExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::conditions;
use serde_json::{Value, json};
use shopkeeper_operator::controller::reconcile;
use shopkeeper_operator::crd::{Phase, Shop};
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::{SHOP, Scene};

use crate::market::{self, Market};
use crate::scene::with_scene;

/// Everything that belongs to the test's Shop.
const OURS: &str = "app.kubernetes.io/instance=acorn";

fn spec(data_on_delete: &str) -> Value {
    json!({"host": "acorn.test", "lifecycle": {"dataOnDelete": data_on_delete}})
}

async fn credentials(scene: &Scene) -> BTreeMap<String, ByteString> {
    let secret: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
    secret.data.expect("data")
}

#[tokio::test]
async fn a_shop_becomes_ready_stays_as_it_is_and_leaves_nothing() {
    with_scene(async |scene| {
        let shop = scene.create(&spec("Delete")).await.expect("a Shop");
        let operator = scene.operate();
        let ready = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!(ready.services_ready.as_deref(), Some("7/7"));
        assert_eq!(ready.version.as_deref(), Some(&*scene.settings.version));
        assert_eq!(ready.url.as_deref(), Some("http://acorn.test"));

        drop(operator);
        let nothing: Vec<String> = Vec::new();
        assert_eq!(scene.writes_of_a_reconcile().await, nothing, "a steady Shop costs no write");
        Box::pin(edits_and_deletions_are_repaired(&scene)).await;
        restarted_operator_keeps_the_credentials(&scene).await;
        assert_eq!(scene.writes_of_a_reconcile().await, nothing, "a repaired Shop costs no write");

        a_hibernated_shop_keeps_its_data_and_wakes_up_as_it_was(&scene).await;
        Box::pin(a_paused_shop_is_left_alone(&scene)).await;
        turns_are_told_once(&scene).await;

        let operator = scene.operate();
        a_protected_shop_is_not_deleted(&scene).await;
        Box::pin(what_is_not_wanted_any_more_is_pruned(&scene)).await;
        Box::pin(an_unknown_version_leaves_the_pods_as_they_are(&scene)).await;

        delete::<Shop>(&scene, SHOP).await;
        let uid = shop.uid().expect("a uid");
        scene.until::<Shop>(SHOP, "is gone", conditions::is_deleted(&uid)).await;
        nothing_is_left(&scene).await;
        drop(operator);
    })
    .await;
}

async fn edits_and_deletions_are_repaired(scene: &Scene) {
    let edits = [
        edit::<Deployment>(scene, "acorn-cart", json!({"spec": {"replicas": 3}})).boxed(),
        edit::<Ingress>(scene, SHOP, json!({"spec": {"rules": [{"host": "elsewhere.test"}]}})).boxed(),
        edit::<ConfigMap>(scene, "acorn-redis", json!({"data": {"redis.conf": "appendonly no"}})).boxed(),
        delete::<Service>(scene, "acorn-order-grpc").boxed(),
        delete::<Secret>(scene, "acorn-order").boxed(),
        delete::<ServiceAccount>(scene, "acorn-docs").boxed(),
    ];
    let touched = edits.len();
    futures::future::join_all(edits).await;

    let writes = scene.writes_of_a_reconcile().await;
    let reports = ["/status", "/events"];
    let repaired = writes.iter().filter(|line| !reports.iter().any(|report| line.ends_with(report))).count();
    assert_eq!(repaired, touched, "exactly what was touched is written: {writes:?}");
    let cart: Deployment = scene.api().get("acorn-cart").await.expect("the Deployment");
    assert_eq!(cart.spec.and_then(|spec| spec.replicas), Some(1));
    let ingress: Ingress = scene.api().get(SHOP).await.expect("the Ingress");
    assert!(serde_json::to_string(&ingress.spec).expect("json").contains("acorn-cart"));
    let redis: ConfigMap = scene.api().get("acorn-redis").await.expect("the ConfigMap");
    assert!(redis.data.expect("data")["redis.conf"].contains("appendonly yes"));
    scene.api::<Service>().get("acorn-order-grpc").await.expect("the Service is back");
    scene.api::<Secret>().get("acorn-order").await.expect("the Secret is back");

    let _operator = scene.operate();
    scene.until_shop("Ready", "True", None).await;
}

async fn edit<K: Child>(scene: &Scene, name: &str, change: Value) {
    let edited = scene.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    edited.unwrap_or_else(|error| panic!("editing {name}: {error}"));
}

async fn delete<K: Child>(scene: &Scene, name: &str) {
    let deleted = scene.api::<K>().delete(name, &DeleteParams::default()).await;
    deleted.unwrap_or_else(|error| panic!("deleting {name}: {error}"));
}

async fn restarted_operator_keeps_the_credentials(scene: &Scene) {
    let before = credentials(scene).await;
    edit::<Secret>(scene, "acorn-credentials", json!({"data": {"redis.cart": null}})).await;
    scene.writes_of_a_reconcile().await;
    let mut after = credentials(scene).await;
    assert_ne!(after.remove("redis.cart").expect("added again"), before["redis.cart"]);
    assert!(after.iter().all(|(key, value)| before[key] == *value), "what was there is not generated again");

    // Put back what the test took away, or the pods would follow a new password.
    let restored = json!({"data": {"redis.cart": before["redis.cart"]}});
    edit::<Secret>(scene, "acorn-credentials", restored).await;
    let _operator = scene.operate();
    scene.writes_of_a_reconcile().await;
    scene.until_shop("Ready", "True", None).await;
}

async fn a_hibernated_shop_keeps_its_data_and_wakes_up_as_it_was(scene: &Scene) {
    let _operator = scene.operate();
    let before = credentials(scene).await;
    scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
    let asleep = scene.until_shop("Progressing", "False", Some("Hibernated")).await.status.expect("a status");
    assert_eq!(asleep.phase, Some(Phase::Hibernated));
    let running = scene.api::<Pod>().list(&ListParams::default().labels(OURS)).await.expect("a list").items;
    let running =
        running.iter().filter(|pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running")));
    assert_eq!(running.count(), 0, "nothing runs");
    scene.api::<PersistentVolumeClaim>().get("data-acorn-postgres-0").await.expect("the data is kept");

    scene.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
    let awake = scene.until_shop("Ready", "True", None).await.status.expect("a status");
    assert_eq!(awake.services_ready.as_deref(), Some("7/7"));
    assert_eq!(credentials(scene).await, before);
}

async fn a_paused_shop_is_left_alone(scene: &Scene) {
    let nothing: Vec<String> = Vec::new();
    scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
    reconcile(&scene.context(), &scene.shop().await).await.expect("a reconcile");
    scene.until_shop_of_any_generation("Paused", "True").await;
    edit::<Deployment>(scene, "acorn-docs", json!({"metadata": {"labels": {"app.kubernetes.io/version": "mine"}}}))
        .await;
    assert_eq!(scene.writes_of_a_reconcile().await, nothing, "also what somebody changed stays");

    scene.edit(&json!({"lifecycle": {"paused": false}})).await.expect("an edit");
    let _operator = scene.operate();
    let status = scene.until_shop("Ready", "True", None).await.status.expect("a status");
    assert!(status.conditions.iter().all(|condition| condition.type_ != "Paused"));
}

/// Events are for turns in a Shop's life; a turn that comes again has its own count.
async fn turns_are_told_once(scene: &Scene) {
    let events = scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event.regarding.as_ref().is_some_and(|shop| shop.kind.as_deref() == Some("Shop")))
        .filter_map(|event| event.reason.as_deref())
        .collect();
    for turn in ["Preparing", "Ready", "Hibernated", "Paused"] {
        assert!(told.contains(&turn), "{turn} is not among {told:?}");
    }
    assert!(told.len() < 30, "events are for turns only: {told:?}");
}

async fn a_protected_shop_is_not_deleted(scene: &Scene) {
    scene.edit(&json!({"lifecycle": {"deletionProtection": true}})).await.expect("an edit");
    let refused = scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect_err("it is protected");
    assert!(refused.to_string().contains("set spec.lifecycle.deletionProtection to false"), "{refused}");
    scene.edit(&json!({"lifecycle": {"deletionProtection": false}})).await.expect("an edit");
}

async fn what_is_not_wanted_any_more_is_pruned(scene: &Scene) {
    let traces: Deployment = scene.api().get("acorn-traces").await.expect("the trace store");
    let uid = traces.uid().expect("a uid");
    scene.edit(&json!({"telemetry": {"embedded": null, "disabled": {}}})).await.expect("an edit");
    scene.until::<Deployment>("acorn-traces", "is pruned", conditions::is_deleted(&uid)).await;
    scene.until_shop("Ready", "True", None).await;
}

async fn an_unknown_version_leaves_the_pods_as_they_are(scene: &Scene) {
    let before = scene.pods("order").await;
    scene.edit(&json!({"version": "0.0.0-unknown"})).await.expect("an edit");
    let shop = scene.until_shop("Migrated", "False", Some("ImagePullBackOff")).await;
    let status = shop.status.expect("a status");
    let message = status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.message.clone()).unwrap_or_default();
    assert!(message.contains("0.0.0-unknown cannot be pulled"), "{message}");
    assert_eq!(status.services_ready.as_deref(), Some("7/7"), "the previous pods serve");
    assert_eq!(status.version.as_deref(), Some(&*scene.settings.version));
    assert_eq!(scene.pods("order").await, before);
    scene.edit(&json!({"version": null})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    assert_eq!(scene.pods("order").await, before, "the way back replaces no pod");
}

async fn nothing_is_left(scene: &Scene) {
    gone::<Deployment>(scene).await;
    gone::<StatefulSet>(scene).await;
    gone::<Job>(scene).await;
    gone::<Service>(scene).await;
    gone::<ConfigMap>(scene).await;
    gone::<Ingress>(scene).await;
    gone::<ServiceAccount>(scene).await;
    gone::<Secret>(scene).await;
    gone::<Pod>(scene).await;
    gone::<PersistentVolumeClaim>(scene).await;
}

async fn gone<K: Child + Send + Sync + 'static>(scene: &Scene) {
    for name in scene.names::<K>(OURS).await {
        scene.until::<K>(&name, "is collected", |found: Option<&K>| found.is_none()).await;
    }
}

#[tokio::test]
async fn a_retained_shop_with_its_orders_is_taken_up_by_the_next_one_of_its_name() {
    with_scene(async |scene| {
        let spec = market::spec(&scene, &json!({"lifecycle": {"dataOnDelete": "Retain"}}));
        let shop = scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let mut market = Market::open(&scene).await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new());
        market.audit(&scene).await;
        let before = credentials(&scene).await;
        let volume: PersistentVolumeClaim = scene.api().get("data-acorn-postgres-0").await.expect("a volume");

        delete::<Shop>(&scene, SHOP).await;
        let uid = shop.uid().expect("a uid");
        scene.until::<Shop>(SHOP, "is gone", conditions::is_deleted(&uid)).await;
        // At once: the garbage collector is still at work on the first Shop's objects.
        scene.create(&spec).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;

        assert_eq!(credentials(&scene).await, before);
        let again: PersistentVolumeClaim = scene.api().get("data-acorn-postgres-0").await.expect("a volume");
        assert_eq!(again.uid(), volume.uid());
        market.routed().await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new(), "who bought before buys again");
        market.audit(&scene).await;
        drop(operator);
    })
    .await;
}
