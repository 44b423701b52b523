//! An operator that is killed at random moments, whatever it is doing.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use shopkeeper_testing::Scene;
use tokio::time::sleep;

use crate::chance::{is_deep, random};
use crate::market::{self, Market};
use crate::rotation::{arrives_at, ask, its_time_is_over};
use crate::scene::with_scene;

/// So often the operator is killed on the way to each new state.
const KILLS: usize = 8;
const DEEP_KILLS: usize = 30;
/// It lists what there is in a fraction of it, and reconciles a few times in all of it.
const LONGEST_LIFE: Duration = Duration::from_secs(3);
/// Values that no rotation replaces.
const LASTING: [&str; 5] = ["postgres-superuser", "mongodb-root", "redis-probe", "redis-keeper", "first-admin"];

#[tokio::test]
async fn an_operator_that_is_killed_again_and_again_loses_no_order_and_makes_nothing_anew() {
    with_scene(async |scene| {
        let mut random = random();
        scene.create(&market::spec(&scene, &json!({}))).await.expect("a Shop");
        Box::pin(killing(&scene, &mut random, scene.until_shop("Ready", "True", None))).await;
        let (first, volumes) = (credentials(&scene).await, volumes(&scene).await);
        let mut market = Market::open(&scene).await;

        for round in 0..if is_deep() { 4 } else { 1 } {
            let registry = ["docker.io/", ""][round % 2].to_owned() + &scene.settings.image_registry;
            let before = credentials(&scene).await;
            let upgraded = async {
                scene.edit(&json!({"image": {"registry": registry}})).await.expect("an edit");
                scene.until_shop("Ready", "True", None).await;
            };
            Box::pin(market.during(killing(&scene, &mut random, upgraded))).await;
            assert_eq!(credentials(&scene).await, before, "an upgrade made credentials anew");

            // A pod may meet what it has not heard of, because no stage is given its time.
            Box::pin(market.during_trouble(killing(&scene, &mut random, rotated(&scene)))).await;
            only_what_is_rotated_differs(&before, &credentials(&scene).await);

            let before = credentials(&scene).await;
            Box::pin(killing(&scene, &mut random, slept(&scene))).await;
            market.routed().await;
            assert_eq!(credentials(&scene).await, before, "waking up made credentials anew");
            assert_eq!(self::volumes(&scene).await, volumes);
        }
        let operator = scene.operate();
        Box::pin(market.during(scene.until_shop("Ready", "True", None))).await;
        market.audit(&scene).await;
        let last = credentials(&scene).await;
        assert!(LASTING.iter().all(|key| last[*key] == first[*key]), "a value for good was made anew");
        drop(operator);
    })
    .await;
}

/// Operators that are killed one after the other, until `done`; from the last kill on one is left alone.
async fn killing<T>(scene: &Scene, random: &mut StdRng, done: impl Future<Output = T>) -> T {
    let operators = async {
        for _ in 0..if is_deep() { DEEP_KILLS } else { KILLS } {
            let operator = scene.operate();
            sleep(LONGEST_LIFE.mul_f64(random.random())).await;
            drop(operator);
        }
        let _operator = scene.operate();
        std::future::pending().await
    };
    tokio::select! { outcome = done => outcome, never = operators => never }
}

async fn rotated(scene: &Scene) {
    ask(scene).await;
    for stage in ["Publishing", "Moving", "Closing"] {
        arrives_at(scene, stage).await;
        its_time_is_over(scene).await;
    }
    scene.until_shop("CredentialsSettled", "True", None).await;
    scene.until_shop("Ready", "True", None).await;
}

async fn slept(scene: &Scene) {
    scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
    scene.until_shop("Progressing", "False", Some("Hibernated")).await;
    scene.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
}

type Values = BTreeMap<String, ByteString>;

async fn credentials(scene: &Scene) -> Values {
    let secret: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
    secret.data.expect("data")
}

fn only_what_is_rotated_differs(before: &Values, after: &Values) {
    assert!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
    for (key, value) in before {
        assert_eq!(after[key] == *value, LASTING.contains(&&**key), "{key} was made anew, or was not rotated");
    }
    let generation = |values: &Values| {
        let state: Value = serde_json::from_slice(&values["rotation.json"].0).expect("JSON");
        state["generation"].as_u64().expect("a number")
    };
    assert_eq!(generation(after), generation(before) + 1, "one wish is one rotation");
}

/// The claims and which they are.
async fn volumes(scene: &Scene) -> BTreeMap<String, Option<String>> {
    let claims = scene.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("a list").items;
    claims.iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}
