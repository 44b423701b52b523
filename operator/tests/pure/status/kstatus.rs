//! What tools see that wait for an object by kstatus.

use jiff::Timestamp;
use shopkeeper_operator::crd::ShopStatus;
use shopkeeper_operator::status::{Blocked, blocked, paused};

use super::{ended, pod, scene};
use crate::support::job_status;

/// What kstatus makes of an object that is not being deleted, of a kind for which it has no rules of its own: `Compute` in
/// pkg/kstatus/status/status.go of sigs.k8s.io/cli-utils v0.37.2, with `checkGenericProperties` and `checkGeneration` in
/// generic.go beside it.
fn kstatus(status: &ShopStatus, generation: i64) -> &'static str {
    let is = |type_: &str, value: &str| {
        status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == value)
    };
    // Of these two the first one in the list decides.
    let mut abnormal = status.conditions.iter().filter(|condition| condition.status == "True");
    let abnormal = abnormal.find_map(|condition| match &*condition.type_ {
        "Reconciling" => Some("InProgress"),
        "Stalled" => Some("Failed"),
        _ => None,
    });
    match abnormal {
        // Where no generation is told, that says nothing.
        _ if status.observed_generation.is_some_and(|observed| observed != generation) => "InProgress",
        Some(abnormal) => abnormal,
        None if is("Ready", "False") || is("Ready", "Unknown") => "InProgress",
        None => "Current",
    }
}

#[test]
fn tools_that_wait_by_kstatus_wait_as_long_as_it_is_worth_it() {
    let mut scene = scene();
    let ready = scene.status(|_| {});
    assert_eq!((kstatus(&ready, 7), kstatus(&ready, 8)), ("Current", "InProgress"));
    let preparing = scene.status(|objects| objects.stateful_sets[0].status = None);
    assert_eq!(kstatus(&preparing, 7), "InProgress");
    let failed = scene.status(|objects| objects.jobs[1].status = Some(job_status("Failed")));
    assert_eq!(kstatus(&failed, 7), "Failed");
    scene.previous = Some(failed.clone());
    assert_eq!(kstatus(&scene.status(|_| {}), 7), "Current", "what was mended is not stalled");

    let leaving = |passes| Blocked { reason: "AnyReason", message: "", passes };
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(kstatus(&blocked(Some(&failed), Some(7), &leaving(true), None, now), 7), "InProgress");
    assert_eq!(kstatus(&blocked(Some(&ready), Some(7), &leaving(false), None, now), 7), "Failed");
    assert_eq!(kstatus(&paused(Some(&ready), Some(8), None, now), 8), "InProgress", "what is new in the spec waits");
}

#[test]
fn a_shop_that_sleeps_is_what_tools_wait_for_and_one_that_falls_asleep_is_not_yet() {
    let mut scene = scene();
    scene.shop.spec.lifecycle.hibernated = true;
    scene.pods = vec![pod("acorn-cart-x", "cart", ended(0, "drained"))];
    let stopping = scene.status(|_| {});
    assert_eq!(kstatus(&stopping, 7), "InProgress");
    scene.pods.clear();
    let asleep = scene.status(|_| {});
    assert_eq!(kstatus(&asleep, 7), "Current");
    scene.previous = Some(asleep);
    scene.shop.spec.lifecycle.hibernated = false;
    let waking = scene.status(|objects| objects.stateful_sets[0].status = None);
    assert_eq!(kstatus(&waking, 7), "InProgress");
    assert!(waking.conditions.iter().all(|condition| condition.type_ != "Hibernated"));
}
