//! `rotate`, `hibernate` and `wake`, on a Shop of which nobody takes notice but the tests.

use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;

use crate::scene::{FORMS, Scene, read, run, start, with_scene};

/// What the operator says while pods are stopping.
const STOPPING: &[(&str, &str)] = &[("Ready", "False"), ("Progressing", "True"), ("Hibernated", "False")];
/// What it says then: there is no `Ready`.
const ASLEEP: &[(&str, &str)] = &[("Progressing", "False"), ("Hibernated", "True")];
/// What it says of a Shop that is awake.
const AWAKE: &[(&str, &str)] = &[("Ready", "True"), ("Progressing", "False")];

/// Says what the operator would say.
async fn report(scene: &Scene, phase: &str, conditions: &[(&str, &str)]) {
    let shop = scene.api::<Shop>().get("acorn").await.expect("the Shop");
    let generation = shop.metadata.generation;
    let condition = |(type_, status): &(&str, &str)| {
        json!({"type": type_, "status": status, "reason": "Told", "message": format!("{type_} was told"),
               "observedGeneration": generation, "lastTransitionTime": Timestamp::now()})
    };
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    let status = json!({"status": {
        "phase": phase, "observedGeneration": generation, "services": [], "stores": [], "conditions": conditions,
    }});
    let params = PatchParams::default();
    scene.api::<Shop>().patch_status("acorn", &params, &Patch::Merge(status)).await.expect("a status");
}

async fn until(scene: &Scene, hibernated: bool) {
    let wanted = |shop: Option<&Shop>| shop.is_some_and(|shop| shop.spec.lifecycle.hibernated == hibernated);
    await_condition(scene.api::<Shop>(), "acorn", wanted).await.expect("a watch");
}

#[tokio::test]
async fn a_rotation_is_a_note_with_the_time_of_the_wish() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let before = Timestamp::now().as_second();
        run(&scene.namespace, &["rotate"]).check(0, "Rotation requested of acorn");
        let shop = scene.api::<Shop>().get("acorn").await.expect("the Shop");
        let noted = &shop.metadata.annotations.expect("annotations")["shopkeeper.dev/rotate"];
        let noted: Timestamp = noted.parse().expect("a time");
        assert!((before..=Timestamp::now().as_second()).contains(&noted.as_second()), "{noted}");
        assert_eq!(shop.metadata.generation, Some(1), "the spec is as it was");
    })
    .await;
}

#[tokio::test]
async fn a_shop_is_put_to_sleep_and_woken_again() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let look = format!("follow it with: kubectl shopkeeper status acorn -n {}\n", scene.namespace);
        run(&scene.namespace, &["hibernate"]).check(0, &format!("acorn was told to hibernate; {look}"));
        until(scene, true).await;
        run(&scene.namespace, &["hibernate"]).check(0, "acorn is meant to be asleep already; nothing was changed");
        run(&scene.namespace, &["rotate"]).check(0, "it starts when the Shop was woken and is Ready");
        run(&scene.namespace, &["wake", "acorn"]).check(0, &format!("acorn was told to wake; {look}"));
        until(scene, false).await;
    })
    .await;
}

#[tokio::test]
async fn programs_read_what_a_shop_was_told_in_either_form() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let told = |arguments: &[&str]| FORMS.map(|form| read(&scene.namespace, arguments, form));
        let done = |hibernated: bool, changed: bool, waited: bool| {
            json!({"shop": "acorn", "hibernated": hibernated, "changed": changed, "waited": waited, "paused": false})
        };
        for (command, hibernated) in [("hibernate", true), ("wake", false)] {
            assert_eq!(told(&[command]), [done(hibernated, true, false), done(hibernated, false, false)]);
            for form in FORMS {
                let rotating = read(&scene.namespace, &["rotate"], form);
                let shop = scene.api::<Shop>().get("acorn").await.expect("the Shop");
                let noted = &shop.annotations()["shopkeeper.dev/rotate"];
                let expected = json!({"shop": "acorn", "requestedAt": noted, "paused": false, "hibernated": hibernated});
                assert_eq!(rotating, expected);
            }
        }
        report(scene, "Ready", AWAKE).await;
        let waited = done(false, false, true);
        assert_eq!(told(&["wake", "--wait", "--timeout", "1m"]), [waited.clone(), waited]);
    })
    .await;
}

#[tokio::test]
async fn waiting_ends_when_the_condition_says_so_and_not_before() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        report(scene, "Ready", AWAKE).await;
        let waiting = start(&scene.namespace, &["hibernate", "--wait", "--timeout", "1m"]);
        until(scene, true).await;
        report(scene, "Hibernated", STOPPING).await;
        report(scene, "Hibernated", ASLEEP).await;
        waiting.end().check(0, "acorn is asleep: everything is stopped, the data is kept");

        let waiting = start(&scene.namespace, &["wake", "--wait", "--timeout", "1m"]);
        until(scene, false).await;
        report(scene, "Ready", AWAKE).await;
        waiting.end().check(0, "acorn is awake: it is Ready");
        run(&scene.namespace, &["hibernate", "--wait", "--timeout", "1s"]).check(2, "not within 1s");

        let waiting = start(&scene.namespace, &["wake", "--wait", "--timeout", "1m"]);
        until(scene, false).await;
        scene.api::<Shop>().delete("acorn", &DeleteParams::default()).await.expect("it is deleted");
        waiting.end().check(2, "deleted");
    })
    .await;
}
