//! The events of a Shop.

use jiff::Timestamp;
use shopkeeper_operator::crd::{Phase, ShopStatus};
use shopkeeper_operator::rotation::{Rotation, Stage};
use shopkeeper_operator::status::{Blocked, blocked, news};
use shopkeeper_operator::stores::Found;

use super::{Scene, check, scene};
use crate::support::{certified_with, job_status, valid_on};

/// No event.
pub const NONE: [&str; 0] = [];

/// The events when a status follows another one, as kubectl lists them.
pub fn events(previous: Option<&ShopStatus>, status: &ShopStatus) -> Vec<String> {
    let all = news(previous, status).into_iter();
    all.map(|news| format!("{} {}", if news.warning { "Warning" } else { "Normal" }, news.reason)).collect()
}

fn in_the_way(previous: &ShopStatus, reason: &str, passes: bool) -> ShopStatus {
    let why = Blocked { reason, message: "the API server refuses", passes };
    blocked(Some(previous), Some(7), &why, None, Timestamp::UNIX_EPOCH)
}

#[test]
fn events_are_new_phases_and_new_reasons_for_being_blocked() {
    let scene = scene();
    let ready = scene.status(|_| {});
    assert_eq!(events(None, &ready), ["Normal Ready"]);
    assert_eq!(events(Some(&ready), &ready), NONE);

    let failed = scene.status(|objects| objects.jobs[1].status = Some(job_status("Failed")));
    assert_eq!(events(Some(&ready), &failed), ["Warning MigrationFailed"]);
    assert_eq!(events(Some(&failed), &in_the_way(&failed, "NameTaken", false)), ["Warning NameTaken"]);

    let preparing = scene.status(|objects| objects.stateful_sets[0].status = None);
    let other = scene.status(|objects| objects.stateful_sets[1].status = None);
    assert_eq!(events(Some(&preparing), &other), NONE, "progress is told by conditions");
}

#[test]
fn what_passes_by_itself_is_no_warning_and_becomes_one_when_it_does_not() {
    let ready = scene().status(|_| {});
    let passing = in_the_way(&ready, "ApplyFailed", true);
    check(&passing, "Progressing", "True", "ApplyFailed", "the API server refuses");
    assert_eq!(events(Some(&ready), &passing), ["Normal ApplyFailed"]);
    assert_eq!(events(Some(&passing), &in_the_way(&passing, "ApplyFailed", true)), NONE);
    let lasting = in_the_way(&passing, "ApplyFailed", false);
    assert_eq!(events(Some(&passing), &lasting), ["Warning ApplyFailed"]);
    assert_eq!(events(Some(&lasting), &in_the_way(&lasting, "ApplyFailed", false)), NONE);
    assert_eq!(events(Some(&lasting), &ready), ["Normal Ready"]);
}

/// What is said of the Shop at a point of a rotation, while a store is restarted for it or when everything runs.
fn at(scene: &Scene, (generation, stage): (u32, Stage), runs: bool) -> ShopStatus {
    let rotation = Rotation { generation, stage, ..Rotation::first(None, Timestamp::UNIX_EPOCH) };
    let found = Found { default_class: scene.default_class.clone(), ..Found::dummy(&scene.shop) };
    let shop = valid_on(&scene.shop, certified_with(&scene.shop, rotation), &found);
    scene.status_of(&shop, |objects| {
        if !runs {
            objects.stateful_sets[0].status = None;
        }
    })
}

#[test]
fn every_stage_of_a_rotation_is_an_event_also_when_the_shop_stops_being_ready_for_it() {
    let scene = scene();
    let mut before = at(&scene, (0, Stage::Settled), true);
    for point in [(0, Stage::Publishing), (1, Stage::Moving), (1, Stage::Closing), (1, Stage::Settled)] {
        let told = format!("Normal Credentials{:?}", point.1);
        let begun = at(&scene, point, false);
        assert_eq!(begun.phase, Some(Phase::Preparing));
        assert_eq!(events(Some(&before), &begun), ["Normal Preparing", told.as_str()]);
        before = at(&scene, point, true);
        assert_eq!(events(Some(&begun), &before), ["Normal Ready"]);
    }
}
