//! What is said of certificates.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use ring::rand::SystemRandom;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{ExternalStore, Mtls, Phase, ShopStatus, TlsSpec};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::identities::{Authorities, Identities, new_authority, renew, worries_about_given};
use shopkeeper_operator::names;
use shopkeeper_operator::stores::Found;

use super::events::{NONE, events};
use super::{Scene, check, pod, scene};
use crate::support::{MINIMAL, certified, shop, valid_on, valid_with};

const TYPE: &str = "CertificatesValid";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn authority() -> String {
    authority_of(0)
}

/// One that is good for ten years from then on.
fn authority_of(second: i64) -> String {
    new_authority("default", "acorn", at(second), &SystemRandom::new()).expect("an authority")
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

#[test]
fn what_a_certificate_wants_in_time_is_an_event_though_the_shop_stays_ready() {
    let before = scene().status(|_| {});
    let mut after = before.clone();
    let told = after.conditions.iter_mut().find(|condition| condition.type_ == TYPE).expect("it");
    "AuthorityExpires".clone_into(&mut told.reason);
    assert_eq!(events(Some(&before), &after), ["Warning AuthorityExpires"]);
    assert_eq!(events(Some(&after), &after), NONE, "once");
    assert_eq!(events(Some(&after), &before), NONE, "and not when it is over");
}

/// What is said of a Shop with new certificates of its own, and with what was `found` of others.
fn told(mut scene: Scene, found: &Found) -> ShopStatus {
    scene.given = worries_about_given(&scene.shop, found, at(scene.second));
    let certificates = issued(&authority_of(scene.second), &[], scene.second);
    let shop = valid_on(&scene.shop, Credentials::dummy().with(certificates), found);
    scene.status_of(&shop, |_| {})
}

/// The same where Redis is somebody else's, and this vouches for it.
fn vouched_for(mut scene: Scene, authority: &str) -> ShopStatus {
    let redis = &mut scene.shop.spec.redis;
    redis.embedded = None;
    redis.external = Some(ExternalStore { secret_name: "acorn-cache".to_owned() });
    let mut found = Found { default_class: scene.default_class.clone(), ..Found::dummy(&scene.shop) };
    let secret = found.secrets.get_mut("acorn-cache").expect("a Secret");
    secret.data.get_or_insert_default().insert("ca.crt".to_owned(), ByteString(authority.into()));
    told(scene, &found)
}

/// The same where the Ingress is to show a certificate, which is there with a key or is not.
fn shown(mut scene: Scene, certificate: Option<[&str; 2]>) -> ShopStatus {
    scene.shop.spec.ingress.tls = Some(TlsSpec { secret_name: Some("acorn-edge".to_owned()) });
    let secret = certificate.map(|[certificate, key]| {
        let entry = |name: &str, text: &str| (name.to_owned(), ByteString(text.into()));
        let data = [entry("tls.crt", certificate), entry("tls.key", key)];
        Secret { data: Some(data.into()), ..Secret::default() }
    });
    let default_class = scene.default_class.clone();
    let found = Found { default_class, ingress_certificate: secret, ..Found::dummy(&scene.shop) };
    told(scene, &found)
}

#[test]
fn an_authority_of_somebody_elses_store_is_told_before_it_runs_out_and_at_once_when_it_cannot_be_read() {
    let (authority, end) = (authority(), 10 * 365 * DAY);
    let at = |second: i64| Scene { second, ..scene() };
    check(&vouched_for(at(DAY), &authority), TYPE, "True", "Issued", "no other one runs out soon");
    let soon = vouched_for(at(end - 20 * DAY), &authority);
    check(&soon, TYPE, "True", "StoreAuthorityExpires", "Secret acorn-cache, which vouches for redis, runs out at");
    check(&soon, "Ready", "True", "AsWanted", "");
    let over = vouched_for(at(end + DAY), &authority);
    check(&over, TYPE, "True", "StoreAuthorityExpired", "other clients refuse it by now");
    let with_the_next_one = format!("{authority}{}", authority_of(end - 20 * DAY));
    check(&vouched_for(at(end + DAY), &with_the_next_one), TYPE, "True", "Issued", "");

    let damaged = vouched_for(at(DAY), "damaged");
    check(&damaged, TYPE, "False", "StoreAuthorityUnreadable", "whoever starts now does not reach redis");
    check(&damaged, "Ready", "False", "StoreAuthorityUnreadable", "write the certificate of the authority there");
    let mut plain = at(end - 20 * DAY);
    plain.shop.spec.mesh.mtls = Mtls::Off;
    check(&vouched_for(plain, &authority), TYPE, "True", "StoreAuthorityExpires", "");
}

#[test]
fn what_the_ingress_shows_is_told_before_it_runs_out_and_keeps_the_shop_from_being_ready_afterwards() {
    let (certificate, end) = (authority(), 10 * 365 * DAY);
    let good = [certificate.as_str(), "a key"];
    let at = |second: i64| Scene { second, ..scene() };
    check(&shown(at(DAY), Some(good)), TYPE, "True", "Issued", "");
    let soon = shown(at(end - 20 * DAY), Some(good));
    check(&soon, TYPE, "True", "IngressCertificateExpires", "see why whoever renews it does not");
    let over = shown(at(end + DAY), Some(good));
    check(&over, TYPE, "False", "IngressCertificateExpired", "customers are warned off");
    check(&over, "Ready", "False", "IngressCertificateExpired", "");
    for damaged in [["damaged", "a key"], [certificate.as_str(), ""]] {
        let damaged = shown(at(DAY), Some(damaged));
        check(&damaged, TYPE, "False", "IngressCertificateUnreadable", "as `tls.crt` and `tls.key`");
    }
}

#[test]
fn a_certificate_of_the_ingress_that_nobody_has_made_yet_is_waited_for_and_then_told_as_missing() {
    let mut previous: Option<ShopStatus> = None;
    let mut told = |second: i64, certificate: Option<[&str; 2]>| {
        let status = shown(Scene { second, previous: previous.clone(), ..scene() }, certificate);
        let events = events(previous.as_ref(), &status);
        previous = Some(status.clone());
        (status, events)
    };
    let (missing, said) = told(DAY, None);
    check(&missing, "Ready", "False", "IngressCertificateMissing", "Secret acorn-edge, which spec.ingress.tls names");
    check(&missing, "Progressing", "True", "IngressCertificateMissing", "see what keeps whoever is to make it");
    assert_eq!(said, ["Normal RollingOut", "Normal IngressCertificateMissing"]);
    let (waiting, said) = told(DAY + 599, None);
    assert_eq!((waiting.phase, said.is_empty()), (Some(Phase::RollingOut), true));

    let (typo, said) = told(DAY + 600, None);
    check(&typo, "Stalled", "True", "IngressCertificateMissing", "make it, or see what keeps whoever is to make it");
    assert_eq!((typo.phase, said), (Some(Phase::Blocked), vec!["Warning IngressCertificateMissing".to_owned()]));
    let authority = authority();
    let (made, said) = told(DAY + 700, Some([authority.as_str(), "a key"]));
    check(&made, TYPE, "True", "Issued", "");
    assert_eq!(said, ["Normal Ready"]);
}

#[test]
fn that_the_host_is_taken_is_told_and_not_the_certificate_that_nobody_makes_for_it() {
    let mut scene = scene();
    scene.shop.spec.host = Some("acorn.test".to_owned());
    scene.shop.spec.ingress.tls = Some(TlsSpec { secret_name: Some("acorn-edge".to_owned()) });
    let found = Found::dummy(&scene.shop);
    scene.given = worries_about_given(&scene.shop, &found, at(scene.second));
    let mut shop = valid_on(&scene.shop, certified(&scene.shop), &found);
    shop.route.taken_by = Some("oak/elder".to_owned());
    let status = scene.status_of(&shop, |_| {});
    check(&status, TYPE, "False", "IngressCertificateMissing", "Secret acorn-edge");
    check(&status, "Ready", "False", "HostTaken", "Shop oak/elder answers for acorn.test already");
}
