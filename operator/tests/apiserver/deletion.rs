//! What goes with a Shop, what stays, and what the next one of its name finds.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::{Value, json};
use shopkeeper_operator::catalog::STORES;
use shopkeeper_operator::controller::reconcile;
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::Scene;
use tokio::time::sleep;

use crate::scene::with_scene;
use crate::snapshot::{Snapshot, kinds, snapshot_of};
use crate::steady::{NOTHING, block, edit, ready, repairs};

/// Everything is collected within so many looks.
const LOOKS: usize = 300;
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn spec(data_on_delete: &str) -> Value {
    json!({"host": "acorn.test", "lifecycle": {"dataOnDelete": data_on_delete}})
}

/// Tells the volume of a store from one that was made later.
async fn volume(scene: &Scene, store: &str) -> Option<String> {
    let claim: PersistentVolumeClaim = scene.api().get(&volume_of(store)).await.expect("a volume");
    claim.uid()
}

/// Whether it goes with something.
pub fn is_owned<K: Child>(found: Option<&K>) -> bool {
    found.is_some_and(|found| !found.owner_references().is_empty())
}

/// Whether it stays, whatever goes.
pub fn is_free<K: Child>(found: Option<&K>) -> bool {
    found.is_some_and(|found| found.owner_references().is_empty())
}

fn volume_of(store: &str) -> String {
    format!("data-acorn-{store}-0")
}

/// Waits until something is true of the volume of each store.
pub async fn volumes(scene: &Scene, what: &str, condition: fn(Option<&PersistentVolumeClaim>) -> bool) {
    for store in STORES {
        scene.until::<PersistentVolumeClaim>(&volume_of(store), what, condition).await;
    }
}

/// Waits until nothing but `kept` is left.
async fn collected(scene: &Scene, kept: impl Fn(&str) -> bool) -> Snapshot {
    let (kinds, mut left) = (kinds(scene).await, Snapshot::new());
    for _ in 0..LOOKS {
        left = snapshot_of(scene, &kinds).await;
        if left.keys().all(|name| kept(name)) {
            return left;
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("left: {:?}", left.keys());
}

#[tokio::test]
async fn deleting_a_shop_with_its_data_leaves_nothing_though_no_operator_runs() {
    with_scene(async |scene, _kubelet| {
        scene.create(&spec("Delete")).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.delete().await;
        collected(&scene, |_| false).await;
    })
    .await;
}

#[tokio::test]
async fn volumes_and_credentials_outlive_a_shop_and_the_next_one_of_its_name_takes_them_up() {
    with_scene(async |scene, _kubelet| {
        scene.create(&spec("Retain")).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let credentials: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        drop(operator);
        scene.delete().await;
        let volumes = |name: &str| name.starts_with("PersistentVolumeClaim data-acorn-");
        let left = collected(&scene, |name| volumes(name) || name == "Secret acorn-credentials").await;
        assert_eq!(left.len(), 5, "{:?}", left.keys());

        let kept = volume(&scene, "redis").await;
        let operator = scene.operate();
        scene.create(&spec("Retain")).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;
        // At once: the garbage collector is still at work on this Shop's objects.
        scene.delete().await;
        scene.create(&spec("Retain")).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        assert_eq!(volume(&scene, "redis").await, kept);
        let same: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert_eq!((same.uid(), same.data), (credentials.uid(), credentials.data));
    })
    .await;
}

#[tokio::test]
async fn a_store_that_lets_its_data_go_starts_empty_beside_those_that_keep_it_and_with_their_credentials() {
    with_scene(async |scene, _kubelet| {
        let mut spec = spec("Retain");
        spec["redis"] = json!({"embedded": {"dataOnDelete": "Delete"}});
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let credentials: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        drop(operator);
        scene.delete().await;
        let stays = [
            "PersistentVolumeClaim data-acorn-mongodb-0",
            "PersistentVolumeClaim data-acorn-postgres-0",
            "PersistentVolumeClaim data-acorn-rabbitmq-0",
            "Secret acorn-credentials",
        ];
        let left = collected(&scene, |name| stays.contains(&name)).await;
        assert!(left.keys().eq(stays), "{:?}", left.keys());

        let kept = volume(&scene, "postgres").await;
        let _operator = scene.operate();
        scene.create(&spec).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;
        let let_go = volume(&scene, "redis").await;
        // At once: the garbage collector is still at work on this Shop's objects, that volume among them.
        scene.delete().await;
        scene.create(&spec).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(volume(&scene, "postgres").await, kept);
        assert_ne!(volume(&scene, "redis").await, let_go);
        let same: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert_eq!((same.uid(), same.data), (credentials.uid(), credentials.data));
    })
    .await;
}

#[tokio::test]
async fn credentials_go_with_the_last_store_that_lets_its_data_go() {
    with_scene(async |scene, _kubelet| {
        let mut spec = spec("Retain");
        for store in ["mongodb", "redis", "rabbitmq"] {
            spec[store] = json!({"embedded": {"dataOnDelete": "Delete"}});
        }
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let kept: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert!(kept.owner_references().is_empty(), "PostgreSQL keeps what only they open");

        scene.edit(&json!({"postgres": {"embedded": {"dataOnDelete": "Delete"}}})).await.expect("an edit");
        scene.until::<Secret>("acorn-credentials", "belong to the Shop", is_owned).await;
        drop(operator);
        scene.delete().await;
        collected(&scene, |_| false).await;
    })
    .await;
}

#[tokio::test]
async fn volumes_and_credentials_of_a_blocked_shop_go_together_and_stay_together() {
    with_scene(async |scene, _kubelet| {
        let wish = |data_on_delete: &str| json!({"lifecycle": {"dataOnDelete": data_on_delete}});
        ready(&scene, &spec("Retain")).await;
        block(&scene).await;
        let _operator = scene.operate();
        scene.edit(&wish("Delete")).await.expect("an edit");
        scene.until::<Secret>("acorn-credentials", "belong to the Shop", is_owned).await;
        for volume in STORES.map(volume_of) {
            let claim: PersistentVolumeClaim = scene.api().get(&volume).await.expect("a volume");
            assert!(is_owned(Some(&claim)), "{volume} stays without credentials");
        }
        scene.until_shop("Ready", "False", Some("NameTaken")).await;

        scene.edit(&wish("Retain")).await.expect("an edit");
        volumes(&scene, "belongs to nobody", is_free).await;
        let credentials: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert!(is_free(Some(&credentials)), "they are kept before the volumes are");
        scene.until_shop("Ready", "False", Some("NameTaken")).await;
    })
    .await;
}

#[tokio::test]
async fn volumes_of_stores_that_do_not_run_stay_or_go_as_the_shop_says() {
    with_scene(async |scene, kubelet| {
        let wish = |data_on_delete: &str| json!({"lifecycle": {"dataOnDelete": data_on_delete}});
        ready(&scene, &spec("Delete")).await;
        volumes(&scene, "belongs to its store", is_owned).await;
        kubelet.break_down("redis").await.expect("reports");
        let operator = scene.operate();
        scene.edit(&wish("Retain")).await.expect("an edit");
        volumes(&scene, "belongs to nobody", is_free).await;
        kubelet.mend("redis").await.expect("reports");
        scene.until_shop("Ready", "True", None).await;

        scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
        scene.until_shop("Hibernated", "True", None).await;
        scene.edit(&wish("Delete")).await.expect("an edit");
        scene.until::<Secret>("acorn-credentials", "belong to the Shop", is_owned).await;
        volumes(&scene, "belongs to its store", is_owned).await;
        scene.edit(&json!({"lifecycle": {"paused": true, "dataOnDelete": "Retain"}})).await.expect("an edit");
        volumes(&scene, "belongs to nobody", is_free).await;
        drop(operator);
        scene.delete().await;
        let left = collected(&scene, |name| {
            name == "Secret acorn-credentials" || STORES.iter().any(|store| name.ends_with(&volume_of(store)))
        });
        assert_eq!(left.await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_volume_without_labels_stays_with_the_others_when_the_shop_says_so() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec("Delete")).await;
        volumes(&scene, "belongs to its store", is_owned).await;
        edit::<PersistentVolumeClaim>(&scene, &volume_of("postgres"), json!({"metadata": {"labels": null}})).await;
        let _operator = scene.operate();
        scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
        scene.until_shop("Hibernated", "True", None).await;
        scene.edit(&json!({"lifecycle": {"dataOnDelete": "Retain"}})).await.expect("an edit");
        volumes(&scene, "belongs to nobody", is_free).await;
    })
    .await;
}

#[tokio::test]
async fn no_credentials_are_made_beside_a_volume_that_somebody_restored_before_them() {
    with_scene(async |scene, _kubelet| {
        // As a snapshot is restored by hand: the name is enough for the store.
        let restored: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": volume_of("postgres")},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .expect("a claim");
        scene.api().create(&PostParams::default(), &restored).await.expect("a claim");
        scene.create(&spec("Retain")).await.expect("a Shop");
        let _operator = scene.operate();
        let blocked = scene.until_shop("Ready", "False", Some("CredentialsLost")).await;
        let told = json!(blocked.status).to_string();
        assert!(told.contains(&volume_of("postgres")), "{told}");
        let made = scene.api::<Secret>().get_opt("acorn-credentials").await.expect("an answer");
        assert_eq!(made.map(|secret| secret.name_any()), None);
    })
    .await;
}

#[tokio::test]
async fn a_shop_that_lets_its_data_go_gets_new_credentials_after_all_of_the_old_is_gone() {
    with_scene(async |scene, _kubelet| {
        scene.create(&spec("Delete")).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let old: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        scene.delete().await;
        scene.create(&spec("Delete")).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;
        let new: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        assert_ne!(new.data, old.data);
    })
    .await;
}

#[tokio::test]
async fn lost_credentials_are_not_made_anew_while_volumes_need_them() {
    with_scene(async |scene, _kubelet| {
        scene.create(&spec("Retain")).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let lost: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        drop(operator);
        scene.writes_of_a_reconcile().await;
        scene.api::<Secret>().delete("acorn-credentials", &DeleteParams::default()).await.expect("a deletion");
        assert_eq!(repairs(&scene).await, Vec::<String>::new());
        let blocked = scene.until_shop("Ready", "False", Some("CredentialsLost")).await;
        let told = json!(blocked.status).to_string();
        assert!(told.contains("restore the Secret from a backup"), "{told}");

        let metadata = ObjectMeta { uid: None, resource_version: None, ..lost.metadata };
        scene.api().create(&PostParams::default(), &Secret { metadata, ..lost }).await.expect("a Secret");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn no_single_value_is_made_anew_either_while_what_was_made_with_it_is_there() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec("Retain")).await;
        let whole: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
        for key in ["postgres-superuser", "mongodb-root", "mesh-authority.pem"] {
            edit::<Secret>(&scene, "acorn-credentials", json!({"data": {key: null}})).await;
            assert_eq!(repairs(&scene).await, NOTHING, "{key}");
            let blocked = scene.until_shop("Ready", "False", Some("CredentialsLost")).await;
            let told = json!(blocked.status).to_string();
            assert!(told.contains(&format!("acorn-credentials has no {key}")), "{told}");
            edit::<Secret>(&scene, "acorn-credentials", json!({"data": whole.data})).await;
        }
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn credentials_that_came_back_without_their_labels_are_taken_up_when_they_have_them_again() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec("Retain")).await;
        edit::<Secret>(&scene, "acorn-credentials", json!({"metadata": {"labels": null}})).await;
        assert_eq!(repairs(&scene).await, NOTHING);
        let blocked = scene.until_shop("Ready", "False", Some("NameTaken")).await;
        let told = json!(blocked.status).to_string();
        let labels = ["app.kubernetes.io/managed-by", "app.kubernetes.io/instance"];
        assert!(labels.iter().all(|label| told.contains(label)) && told.contains("never delete it"), "{told}");

        let [manager, instance] = labels;
        let labels = json!({"metadata": {"labels": {manager: "shopkeeper", instance: "acorn"}}});
        edit::<Secret>(&scene, "acorn-credentials", labels).await;
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn what_a_late_reconcile_has_to_say_of_a_deleted_shop_is_not_told_of_the_next_one_of_its_name() {
    with_scene(async |scene, _kubelet| {
        let old = scene.create(&spec("Delete")).await.expect("a Shop");
        scene.delete().await;
        scene.create(&spec("Delete")).await.expect("a Shop");
        reconcile(&scene.context(), &old).await.expect("nobody is left to be told");
        assert!(!scene.shop().await.status.is_some_and(|status| status.is_seen()));

        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}
