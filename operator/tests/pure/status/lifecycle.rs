//! A Shop that sleeps, or is left alone.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Phase;
use shopkeeper_operator::identities::Worry;
use shopkeeper_operator::status::{Blocked, blocked, paused};

use super::events::{NONE, events};
use super::{Scene, check, ended, pod, scene};
use crate::support::{OPERATED, shop};

#[test]
fn a_hibernated_shop_is_still_stopping_while_pods_are_left() {
    let mut scene = scene();
    scene.shop.spec.lifecycle.hibernated = true;
    scene.pods =
        vec![pod("acorn-cart-x", "cart", ended(0, "drained")), pod("acorn-order-x", "order", ended(0, "drained"))];
    let stopping = scene.status(|_| {});
    check(&stopping, "Progressing", "True", "Hibernated", "stopping, 2 pods are left");
    check(&stopping, "Ready", "False", "Hibernated", "");
    scene.pods.clear();
    let asleep = scene.status(|_| {});
    check(&asleep, "Hibernated", "True", "Hibernated", "the data is kept");
    assert!(asleep.conditions.iter().all(|condition| condition.type_ != "Ready"), "it neither serves nor fails to");
    assert_eq!(asleep.phase, Some(Phase::Hibernated));
    assert_eq!(events(None, &stopping), ["Normal Hibernated"]);
    assert_eq!(events(Some(&stopping), &asleep), NONE, "it is told once");
}

/// What CloudNativePG says of a cluster that is to sleep.
fn of_postgres(asleep: &str) -> Value {
    let condition = json!({
        "type": "cnpg.io/hibernation", "status": asleep, "reason": "Test", "message": "Test",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    json!({"readyInstances": 0, "conditions": [condition]})
}

/// What the RabbitMQ cluster operator says of one.
fn of_rabbitmq(observed: i64, type_: &str, status: &str) -> Value {
    let condition = json!({"type": type_, "status": status, "message": "scale down not supported"});
    json!({"observedGeneration": observed, "conditions": [condition]})
}

#[test]
fn a_shop_sleeps_when_other_operators_say_that_their_clusters_do() {
    let mut scene = Scene { shop: shop(OPERATED), ..scene() };
    scene.shop.spec.lifecycle.hibernated = true;
    let told = |postgres: &Value, rabbitmq: &Value| {
        scene.status(|applied| {
            applied.postgres_clusters[0].status = serde_json::from_value(postgres.clone()).expect("a status");
            let cluster = &mut applied.rabbitmq_clusters[0];
            cluster.status = serde_json::from_value(rabbitmq.clone()).expect("a status");
            cluster.metadata.generation = Some(2);
        })
    };
    let (sleeps, stopped) = (of_postgres("True"), of_rabbitmq(2, "ClusterAvailable", "False"));
    for (postgres, rabbitmq, left) in [
        (&of_postgres("False"), &stopped, "stopping, postgres still runs"),
        (&sleeps, &of_rabbitmq(2, "ClusterAvailable", "True"), "stopping, rabbitmq still runs"),
        (&sleeps, &of_rabbitmq(1, "ReconcileSuccess", "False"), "rabbitmq still runs (scale down not supported)"),
    ] {
        let stopping = told(postgres, rabbitmq);
        check(&stopping, "Hibernated", "False", "Hibernated", left);
        check(&stopping, "Ready", "False", "Hibernated", left);
    }
    check(&told(&sleeps, &stopped), "Hibernated", "True", "Hibernated", "everything is stopped");
    let unheard = scene.status(|_| {});
    check(&unheard, "Hibernated", "False", "Hibernated", "stopping, postgres still runs; rabbitmq still runs");
}

#[test]
fn a_paused_shop_keeps_what_was_known_of_it() {
    let known = scene().status(|_| {});
    let now = Timestamp::from_second(9).expect("a time");
    let paused = paused(Some(&known), Some(8), None, now);
    check(&paused, "Paused", "True", "PausedBySpec", "spec.lifecycle.paused");
    check(&paused, "Ready", "True", "AsWanted", "");
    assert_eq!(paused.observed_generation, known.observed_generation, "the new spec is not taken up");
    assert_eq!(self::paused(Some(&paused), Some(8), None, now + SignedDuration::from_secs(1)), paused);
}

#[test]
fn a_shop_that_is_left_alone_still_says_how_its_certificates_are() {
    let known = scene().status(|_| {});
    let now = Timestamp::from_second(9).expect("a time");
    let worries = [Worry { reason: "CertificateExpired", breaks: true, message: "it ran out".to_owned() }];
    let why = Blocked { reason: "NameTaken", message: "a name is taken", passes: false };
    let blocked = blocked(Some(&known), Some(8), &why, Some(&worries), now);
    let paused = paused(Some(&known), Some(8), Some(&worries), now);
    for status in [&blocked, &paused] {
        check(status, "CertificatesValid", "False", "CertificateExpired", "it ran out");
    }
    let mended = self::paused(Some(&paused), Some(8), Some(&[]), now);
    check(&mended, "CertificatesValid", "True", "Issued", "");
}
