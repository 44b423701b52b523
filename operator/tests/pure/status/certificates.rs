//! What is said of certificates.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use ring::rand::SystemRandom;
use shopkeeper_operator::build::build;
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::identities::{Authorities, Identities, new_authority, renew};
use shopkeeper_operator::names;
use shopkeeper_operator::stores::Found;

use super::{Scene, check, pod, scene};
use crate::support::{MINIMAL, shop, valid_on, valid_with};

const TYPE: &str = "CertificatesValid";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn authority() -> String {
    new_authority("default", "acorn", at(0), &SystemRandom::new()).expect("an authority")
}

/// The certificates of the minimal Shop at a time, where these were there.
fn issued(authority: &str, secrets: &[Secret], second: i64) -> Identities {
    let authorities = Authorities { issuer: authority, other: None };
    renew(authorities, &shop(MINIMAL), secrets, &[], at(second), &SystemRandom::new()).expect("certificates")
}

#[test]
fn a_certificate_that_cannot_be_read_keeps_the_shop_from_being_ready() {
    check(&scene().status(|_| {}), TYPE, "True", "Issued", "renewed before it runs out");
    let damaged = scene().status(|objects| {
        let mut secrets = objects.secrets.iter_mut();
        let order = secrets.find(|secret| secret.name_any() == "acorn-order-identity").expect("a Secret");
        order.data.get_or_insert_default().insert("tls.crt".to_owned(), ByteString(b"damaged".to_vec()));
    });
    check(&damaged, TYPE, "False", "CertificateUnreadable", "Secret acorn-order-identity holds no certificate");
    check(&damaged, "Ready", "False", "CertificateUnreadable", "as soon as it can use Secret acorn-credentials");
}

#[test]
fn a_secret_with_a_certificate_that_is_gone_is_told() {
    let gone = scene().status(|objects| objects.secrets.retain(|found| found.name_any() != "acorn-cart-identity"));
    check(&gone, TYPE, "False", "CertificateMissing", "Secret acorn-cart-identity is gone");
}

#[test]
fn a_certificate_that_is_not_renewed_in_time_is_told_before_it_runs_out() {
    for (hours, value, reason) in
        [(17, "True", "Issued"), (20, "True", "RenewalOverdue"), (24, "False", "CertificateExpired")]
    {
        let scene = Scene { second: hours * HOUR, ..scene() };
        check(&scene.status(|_| {}), TYPE, value, reason, "");
    }
}

#[test]
fn an_authority_that_runs_out_soon_is_told_with_how_to_replace_it() {
    let scene = Scene { second: (10 * 365 - 20) * DAY, ..scene() };
    let certificates = issued(&authority(), &[], scene.second);
    let found = Found { default_class: scene.default_class.clone(), ..Found::dummy(&scene.shop) };
    let shop = valid_on(&scene.shop, Credentials::dummy().with(certificates), &found);
    let status = scene.status_of(&shop, |_| {});
    check(&status, TYPE, "True", "AuthorityExpires", "kubectl shopkeeper rotate acorn");
    check(&status, "Ready", "True", "AsWanted", "");
}

#[test]
fn a_store_that_was_not_restarted_for_its_certificate_is_told() {
    let authority = authority();
    let mut scene = scene();
    let mut secrets = Vec::new();
    for second in [0, 61 * DAY] {
        let certificates = issued(&authority, &secrets, second);
        secrets = build(&valid_with(&scene.shop, Credentials::dummy().with(certificates))).secrets;
    }
    let mut told = |since: i64, second: i64| {
        scene.second = second;
        let shop = valid_with(&scene.shop, Credentials::dummy().with(issued(&authority, &secrets, second)));
        let running = ContainerStateRunning { started_at: Some(Time(at(HOUR))) };
        let state = ContainerState { running: Some(running), ..ContainerState::default() };
        let mut postgres = pod("acorn-postgres-0", "postgres", state);
        postgres.annotations_mut().insert(names::CERTIFICATE_ANNOTATION.to_owned(), at(since).to_string());
        scene.pods = vec![postgres];
        scene.status_of(&shop, |_| {})
    };
    let help = "see why StatefulSet acorn-postgres does not replace its pod";
    check(&told(0, 82 * DAY), TYPE, "True", "RestartOverdue", help);
    check(&told(0, 92 * DAY), TYPE, "False", "RestartOverdue", help);
    check(&told(61 * DAY, 82 * DAY), TYPE, "True", "Issued", "");
}
