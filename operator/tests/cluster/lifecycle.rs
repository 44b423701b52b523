//! A Shop from its creation to its deletion: what needs stores that start and stop, and pods that are pulled.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::discovery::ApiResource;
use serde_json::json;
use shopkeeper_operator::controller::reconcile;
use shopkeeper_operator::crd::{Phase, Shop};
use shopkeeper_testing::{SHOP, Scene, message};
use tokio::time::{sleep, timeout};

use crate::market::{self, Market};
use crate::scene::{credentials, with_scene};

/// Everything that belongs to the test's Shop.
const OURS: &str = "app.kubernetes.io/instance=acorn";
/// Turns in its life, as events tell of them.
const TURNS: [&str; 4] = ["Preparing", "Ready", "Hibernated", "Paused"];
/// More events than turns: only writing without end makes so many.
const TOO_MANY: i32 = 30;
/// Within this time events are written and objects collected.
const PATIENCE: Duration = Duration::from_mins(4);
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_shop_becomes_ready_stays_as_it_is_and_leaves_nothing() {
    with_scene(async |scene| {
        scene.create(&market::spec(&scene, &json!({}))).await.expect("a Shop");
        let operator = scene.operate();
        let ready = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!(ready.services_ready.as_deref(), Some("7/7"));
        assert_eq!(ready.version.as_deref(), Some(&*scene.settings.version));
        assert_eq!(ready.url, Some(format!("http://{}", market::host(&scene))));

        drop(operator);
        // The operator may still have had something to say.
        scene.writes_of_a_reconcile().await;
        assert_eq!(scene.writes_of_a_reconcile().await, Vec::<String>::new(), "a steady Shop costs no write");

        Box::pin(a_hibernated_shop_keeps_its_data_and_wakes_up_as_it_was(&scene)).await;
        Box::pin(a_paused_shop_is_left_alone(&scene)).await;

        let operator = scene.operate();
        a_protected_shop_is_not_deleted(&scene).await;
        Box::pin(an_unknown_version_leaves_the_pods_as_they_are(&scene)).await;
        turns_are_told(&scene).await;

        scene.delete().await;
        nothing_is_left(&scene).await;
        drop(operator);
    })
    .await;
}

async fn a_hibernated_shop_keeps_its_data_and_wakes_up_as_it_was(scene: &Scene) {
    let _operator = scene.operate();
    let market = Market::open(scene).await;
    market.fill_carts().await;
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
    market.routed().await;
    market.carts_are_full().await;
}

async fn a_paused_shop_is_left_alone(scene: &Scene) {
    scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
    reconcile(&scene.context(), &scene.shop().await).await.expect("a reconcile");
    scene.until_shop_of_any_generation("Paused", "True").await;
    let mine = Patch::Merge(json!({"metadata": {"labels": {"app.kubernetes.io/version": "mine"}}}));
    let edited = scene.api::<Deployment>().patch("acorn-docs", &PatchParams::default(), &mine).await;
    edited.expect("an edit");
    assert_eq!(scene.writes_of_a_reconcile().await, Vec::<String>::new(), "also what somebody changed stays");

    scene.edit(&json!({"lifecycle": {"paused": false}})).await.expect("an edit");
    let _operator = scene.operate();
    let status = scene.until_shop("Ready", "True", None).await.status.expect("a status");
    assert!(status.conditions.iter().all(|condition| condition.type_ != "Paused"));
}

/// Events are for turns in a Shop's life. A rollout may turn back; nobody but people begins a pause.
async fn turns_are_told(scene: &Scene) {
    let all = async {
        loop {
            let told = reasons(scene).await;
            if TURNS.iter().all(|turn| told.contains_key(*turn)) {
                return told;
            }
            // They follow the status.
            sleep(LOOK_EVERY).await;
        }
    };
    let told = timeout(PATIENCE, all).await.expect("an event of every turn");
    assert_eq!(told["Paused"], 1, "it was told again: {told:?}");
    assert!(told.values().sum::<i32>() < TOO_MANY, "events are for turns only: {told:?}");
}

/// The reasons of the Shop's events, and how often each was given.
async fn reasons(scene: &Scene) -> BTreeMap<String, i32> {
    let mut told = BTreeMap::<String, i32>::new();
    for event in scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items {
        if event.regarding.is_some_and(|about| about.kind.as_deref() == Some("Shop")) {
            let times = event.series.map_or(1, |series| series.count);
            *told.entry(event.reason.unwrap_or_default()).or_default() += times;
        }
    }
    told
}

async fn a_protected_shop_is_not_deleted(scene: &Scene) {
    scene.edit(&json!({"lifecycle": {"deletionProtection": true}})).await.expect("an edit");
    let refused = scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect_err("it is protected");
    assert!(refused.to_string().contains("set spec.lifecycle.deletionProtection to false"), "{refused}");
    scene.edit(&json!({"lifecycle": {"deletionProtection": false}})).await.expect("an edit");
}

async fn an_unknown_version_leaves_the_pods_as_they_are(scene: &Scene) {
    let before = scene.pods("order").await;
    scene.edit(&json!({"version": "0.0.0-unknown"})).await.expect("an edit");
    let shop = scene.until_shop("Migrated", "False", Some("ImagePullBackOff")).await;
    let told = message(&shop, "Migrated");
    assert!(told.contains("0.0.0-unknown cannot be pulled"), "{told}");
    let status = shop.status.expect("a status");
    assert_eq!(status.services_ready.as_deref(), Some("7/7"), "the previous pods serve");
    assert_eq!(status.version.as_deref(), Some(&*scene.settings.version));
    assert_eq!(scene.pods("order").await, before);
    scene.edit(&json!({"version": null})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    assert_eq!(scene.pods("order").await, before, "the way back replaces no pod");
}

/// Objects of every kind, with labels or without: they all have the Shop's name in theirs.
async fn nothing_is_left(scene: &Scene) {
    let mut kinds = scene.kinds().await;
    // What was told of somebody outlives whom it was told of.
    kinds.retain(|kind| kind.kind != "Event");
    for kind in kinds {
        let mut left = named_after_the_shop(scene, &kind).await;
        let collected = async {
            while !left.is_empty() {
                sleep(LOOK_EVERY).await;
                left = named_after_the_shop(scene, &kind).await;
            }
        };
        let ended = timeout(PATIENCE, collected).await;
        assert!(ended.is_ok(), "{} are left: {left:?}", kind.plural);
    }
}

async fn named_after_the_shop(scene: &Scene, kind: &ApiResource) -> Vec<String> {
    let names = scene.objects(kind).await.into_iter().map(|object| object.name_any());
    names.filter(|name| name.contains(SHOP)).collect()
}

#[tokio::test]
async fn a_retained_shop_with_its_orders_is_taken_up_by_the_next_one_of_its_name() {
    with_scene(async |scene| {
        let spec = market::spec(&scene, &json!({"lifecycle": {"dataOnDelete": "Retain"}}));
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let mut market = Market::open(&scene).await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new());
        market.audit(&scene).await;
        let before = credentials(&scene).await;
        let volume: PersistentVolumeClaim = scene.api().get("data-acorn-postgres-0").await.expect("a volume");

        scene.delete().await;
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
