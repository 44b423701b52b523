//! An operator that is killed at random moments, whatever it is doing.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;
use shopkeeper_operator::controller::reconcile;
use shopkeeper_testing::rotation::{LASTING, Values, rotate, standing};
use shopkeeper_testing::{Scene, is_deep};
use tokio::time::sleep;

use crate::chance::random;
use crate::changes::a_failed_migration_leaves_the_pods_as_they_are;
use crate::market::{self, Market};
use crate::scene::{credentials, volumes, with_scene};

/// Most operators live no longer: they list what there is in a fraction of it, and reconcile a few times in all of it.
const SHORT_LIFE: Duration = Duration::from_secs(3);
/// So many reconciles are in it, however slow the machine is.
const RECONCILES: u32 = 3;
/// Some live so many times as long, and get further.
const LONG_LIFE: u32 = 7;
const SHORT_LIVES: f64 = 0.7;

#[tokio::test]
async fn an_operator_that_is_killed_again_and_again_loses_no_order_and_makes_nothing_anew() {
    with_scene(async |scene| {
        let mut killer = Killer { random: random(), short_life: SHORT_LIFE };
        scene.create(&market::spec(&scene, &json!({}))).await.expect("a Shop");
        Box::pin(killer.comes_until(&scene, scene.until_shop("Ready", "True", None))).await;
        killer.takes_its_time(&scene).await;
        let (first, first_volumes) = (credentials(&scene).await, volumes(&scene).await);
        let mut market = Market::open(&scene).await;

        for round in 0..if is_deep() { 4 } else { 1 } {
            let registry = ["docker.io/", ""][round % 2].to_owned() + &scene.settings.image_registry;
            let before = credentials(&scene).await;
            let upgraded = async {
                scene.edit(&json!({"image": {"registry": registry}})).await.expect("an edit");
                scene.until_shop("Ready", "True", None).await;
            };
            Box::pin(market.during(killer.comes_until(&scene, upgraded))).await;
            let failed = a_failed_migration_leaves_the_pods_as_they_are(&scene);
            Box::pin(market.during(killer.comes_until(&scene, failed))).await;
            assert_eq!(credentials(&scene).await, before, "an upgrade made credentials anew");

            // A pod may meet what it has not heard of, because no stage is given its time.
            Box::pin(market.during_trouble(killer.comes_until(&scene, rotate(&scene)))).await;
            only_what_is_rotated_differs(&before, &credentials(&scene).await);

            let before = credentials(&scene).await;
            Box::pin(killer.comes_until(&scene, scene.hibernate_and_wake())).await;
            market.routed().await;
            assert_eq!(credentials(&scene).await, before, "waking up made credentials anew");
            assert_eq!(volumes(&scene).await, first_volumes);
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

/// Who ends operators, one after the other.
struct Killer {
    random: StdRng,
    short_life: Duration,
}

impl Killer {
    /// Leaves operators the time for a few reconciles.
    async fn takes_its_time(&mut self, scene: &Scene) {
        let begun = Instant::now();
        reconcile(&scene.context(), &scene.shop().await).await.expect("a reconcile");
        self.short_life = SHORT_LIFE.max(begun.elapsed() * RECONCILES);
    }

    /// Operators that are killed one after the other, until `done`.
    async fn comes_until<T>(&mut self, scene: &Scene, done: impl Future<Output = T>) -> T {
        let mut kills = 0;
        let operators = async {
            loop {
                let operator = scene.operate();
                // What is to be done takes longer than one short life, and perhaps no longer than a long one.
                let is_short = kills == 0 || self.random.random_bool(SHORT_LIVES);
                let longest = if is_short { self.short_life } else { self.short_life * LONG_LIFE };
                sleep(longest.mul_f64(self.random.random())).await;
                drop(operator);
                kills += 1;
            }
        };
        let outcome =
            tokio::select! { outcome = done => outcome, () = operators => unreachable!("it goes on for ever") };
        assert!(kills > 0, "it was done before anybody was killed");
        outcome
    }
}

fn only_what_is_rotated_differs(before: &Values, after: &Values) {
    assert!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
    for (key, value) in before {
        assert_eq!(after[key] == *value, LASTING.contains(&&**key), "{key} was made anew, or was not rotated");
    }
    let (generation, stage) = standing(before);
    assert_eq!(standing(after), (generation + 1, stage), "one wish is one rotation");
}
