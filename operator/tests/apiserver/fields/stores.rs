//! The same of the fields of stores that others run. A store lives in one place and stays there, so there is a Shop for each.

use k8s_openapi::api::core::v1::Secret;
use kube::CustomResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};
use shopkeeper_operator::catalog::STORES;
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::schema::{Field, NAMES, Schema};
use shopkeeper_testing::{Scene, is_deep};

use super::journey::{Change, only_there};
use super::{FIXED, base, find_back, takes_nothing_wrong};
use crate::operated::{install, postgres_runs, rabbitmq_runs};
use crate::scene::with_scene;
use crate::snapshot::{Snapshot, left_behind, snapshot};
use crate::steady::NOTHING;

/// Fields that can only grow: nothing leads back from another value.
const GROWING: [&str; 3] =
    ["postgres.cloudNativePG.storage", "rabbitmq.clusterOperator.replicas", "rabbitmq.clusterOperator.storage"];

/// A Shop with a store of every other operator. What changes has a value, which returns.
fn operated() -> Value {
    json!({
        "host": "acorn.test",
        "postgres": {"cloudNativePG": {"instances": 1, "storage": "2Gi"}},
        "mongodb": given(),
        "redis": given(),
        "rabbitmq": {"clusterOperator": {"replicas": 1, "storage": "2Gi"}},
    })
}

/// A Shop that runs no store.
fn external() -> Value {
    let mut spec: Value = STORES.map(|store| (store, given())).into_iter().collect();
    spec["host"] = json!("acorn.test");
    spec
}

/// A store that is there, by the last of the Secrets: other values are tried from the first on.
fn given() -> Value {
    json!({"external": {"secretName": NAMES[1]}})
}

/// Whether a Shop that is made of a spec has what a field is about.
pub fn lives_in(spec: &Value, field: &str) -> bool {
    let mut steps = field.split('.');
    match (steps.next(), steps.next()) {
        (Some(store), Some(place)) if STORES.contains(&store) => {
            spec[store].as_object().map_or(place == "embedded", |places| places.contains_key(place))
        }
        _ => true,
    }
}

#[test]
fn every_field_of_a_store_is_gone_through_with_some_shop_or_known_to_stay() {
    let names: Vec<String> = Schema::of(&Shop::crd()).fields().iter().map(Field::to_string).collect();
    let specs = [base(), operated(), external()];
    for name in &names {
        assert!(specs.iter().any(|spec| lives_in(spec, name)), "no Shop has {name}");
    }
    for known in FIXED.iter().map(|(field, _)| *field).chain(GROWING) {
        assert!(names.iter().any(|name| name == known), "there is no field {known}");
    }
}

#[tokio::test]
async fn stores_of_others_take_other_values_and_find_back_and_what_can_only_grow_grows() {
    with_scene(async |scene, _kubelet| {
        make_secrets(&scene).await;
        scene.create(&operated()).await.expect("a Shop");
        let _operator = scene.operate();
        install(&scene).await;
        postgres_runs(&scene, 1).await;
        rabbitmq_runs(&scene).await;
        scene.until_shop("Ready", "True", None).await;
        let before = snapshot(&scene).await;
        for object in ["Cluster acorn-postgres", "RabbitmqCluster acorn-rabbitmq"] {
            assert!(before.contains_key(object), "nobody looks at {object}");
        }
        Box::pin(go_through(&scene, &operated(), &before)).await;
        Box::pin(grow(&scene, &operated(), &before)).await;
    })
    .await;
    if is_deep() {
        with_scene(async |scene, _kubelet| {
            make_secrets(&scene).await;
            scene.create(&external()).await.expect("a Shop");
            let _operator = scene.operate();
            scene.until_shop("Ready", "True", None).await;
            let before = snapshot(&scene).await;
            Box::pin(go_through(&scene, &external(), &before)).await;
        })
        .await;
    }
}

/// Secrets that say where stores are, each somewhere else.
async fn make_secrets(scene: &Scene) {
    for name in NAMES {
        let keys = json!({"host": format!("{name}.test"), "username": "shop", "password": "secret"});
        let secret = json!({"metadata": {"name": name}, "stringData": keys});
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
    }
}

/// Tries what is ruled out, and takes what can change there and back.
async fn go_through(scene: &Scene, spec: &Value, before: &Snapshot) {
    let schema = Schema::of(&Shop::crd());
    let mut fields = of_stores(&schema, spec);
    takes_nothing_wrong(scene, &schema, &fields).await;
    assert_eq!(left_behind(scene, before).await, NOTHING, "what was refused changes nothing");
    fields.retain(|field| !GROWING.contains(&&*field.to_string()));
    Box::pin(find_back(scene, &schema, spec, before, &fields)).await;
}

async fn grow(scene: &Scene, spec: &Value, before: &Snapshot) {
    let schema = Schema::of(&Shop::crd());
    let mut round = Vec::new();
    for field in of_stores(&schema, spec).iter().filter(|field| GROWING.contains(&&*field.to_string())) {
        round.push(Change::of(scene, &schema, field, spec).await.expect("a larger value"));
    }
    only_there(scene, before, &round).await;
}

/// The fields of a Shop's stores.
fn of_stores(schema: &Schema, spec: &Value) -> Vec<Field> {
    let mut fields = schema.fields();
    fields.retain(|field| {
        let name = field.to_string();
        STORES.iter().any(|store| name.split('.').next() == Some(*store)) && lives_in(spec, &name)
    });
    fields
}
