//! A Shop with another value than usual in every field that shows in what runs: to those who buy there, in its pods and
//! stores, and to the servers of others that it talks to.

#[path = "running/calls.rs"]
mod calls;
#[path = "running/end.rs"]
mod end;
#[path = "running/fields.rs"]
mod fields;
#[path = "running/gate.rs"]
mod gate;
#[path = "running/guests.rs"]
mod guests;
#[path = "running/limits.rs"]
mod limits;
#[path = "running/orders.rs"]
mod orders;
#[path = "running/outside.rs"]
mod outside;
#[path = "running/pods.rs"]
mod pods;
#[path = "running/sights.rs"]
mod sights;
#[path = "running/wishes.rs"]
mod wishes;

use std::time::Duration;

use serde_json::Value;
use shopkeeper_testing::Scene;

use self::fields::unaccounted;
use self::guests::Guests;
use self::outside::Outside;
use self::sights::Sights;
use crate::scene::with_scene;

/// What a Shop does by itself takes no longer, kubelets that swap a file included.
const PATIENCE: Duration = Duration::from_mins(2);
/// So many requests that half of them cannot be all, or none.
const REQUESTS: usize = 40;

#[tokio::test]
async fn every_field_of_a_shop_shows_in_what_runs() {
    with_scene(async |scene| {
        let outside = Outside::open(&scene).await;
        let spec = wishes::spec(&scene, &outside);
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let mut guests = Box::pin(Guests::arrive(&scene)).await;
        let sights = Sights::default();
        Box::pin(it_runs_as_it_was_made(&scene, &spec, &guests, &sights)).await;
        guests.log_in().await;
        calls::fail_every_other_time(&guests, &sights).await;
        guests.are_let_in(&scene, &sights).await;
        guests.look_at_their_pictures(&outside, &sights).await;
        let half_traced = guests.look_around(REQUESTS).await;
        sights.check();

        scene.edit(&wishes::change()).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
        // Some requests may still reach those that are replaced.
        pods::have_stopped(&scene, |pod| pod.metadata.deletion_timestamp.is_some()).await;
        guests.log_in().await;
        let untraced = guests.look_around(REQUESTS).await;
        Box::pin(it_runs_as_it_was_changed(&scene, &outside, &guests, &sights)).await;
        sights.check();

        Box::pin(end::of_the_credentials(&scene, &sights)).await;
        Box::pin(end::of_the_shop(&scene, &sights)).await;
        // Who ends tells the collector of everything before.
        outside.collector.was_told_of_half(&half_traced, &untraced, &sights);
        sights.check();
        let nothing: [String; 0] = [];
        assert_eq!(unaccounted(&sights.fields()), nothing);
        drop(operator);
    })
    .await;
}

async fn it_runs_as_it_was_made(scene: &Scene, spec: &Value, guests: &Guests, sights: &Sights) {
    pods::are_made_of_what_they_should_be(scene, spec, sights).await;
    pods::have_the_volumes_they_should(scene, spec, sights).await;
    pods::say_what_they_should(guests, sights).await;
    tokio::join!(
        pods::are_as_many_as_they_should_be(scene, sights),
        limits::are_kept(scene, sights),
        calls::reach_the_canary(scene, guests, sights),
        orders::take_their_course(scene, guests, sights),
    );
}

async fn it_runs_as_it_was_changed(scene: &Scene, outside: &Outside, guests: &Guests, sights: &Sights) {
    pods::talk_in_plain_text(scene, sights).await;
    calls::end_when_they_should(guests, sights).await;
    guests.get_mail(outside, sights).await;
    gate::opens_with_the_certificate_of_the_shop(scene, guests, sights).await;
}
