//! A rollout that fails returns to the images that were ready, and a changed spec gets a new chance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use shopkeeper_operator::apply::fingerprint;
use shopkeeper_operator::canary::{self, Canaries, Measurements, decide, on_their_way};
use shopkeeper_operator::crd::{
    Amounts, CanaryPhase, CanarySpec, CanaryStatus, DataOnDelete, ExternalStore, MailSpec, RedisSpec, Resources,
    RolledBack, ServiceSpec, ServiceStatus, Shop, ShopStatus, SmtpSpec,
};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollback::{Choice, choose, release};
use shopkeeper_operator::rollout::is_of_canary;
use shopkeeper_operator::stores::{AUTHORITY, Found};
use shopkeeper_operator::validate::ValidShop;

use crate::support::{MINIMAL, done, shop, valid, valid_on};

const NOW: i64 = 1_000_000;

/// A Shop that was ready with 1.0.0 and is to have 2.0.0, its stores having been ready for some seconds.
fn upgraded(stores_ready_for: i64) -> Shop {
    let mut shop = shop(MINIMAL);
    shop.spec.version = Some("1.0.0".to_owned());
    let last_ready = Some(release(&valid(&shop)));
    shop.spec.version = Some("2.0.0".to_owned());
    shop.status = Some(ShopStatus {
        last_ready,
        conditions: vec![
            condition("DependenciesReady", "True", NOW - stores_ready_for, ""),
            condition("ServicesReady", "False", NOW, "order 1/1 (CrashLoopBackOff: no such column)"),
        ],
        ..ShopStatus::default()
    });
    shop
}

fn condition(type_: &str, status: &str, second: i64, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: "Test".to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::from_second(second).expect("a time")),
    }
}

/// The objects of the Shop as the cluster has them, order's rollout having run out of time.
fn late(shop: &Shop) -> Objects<Live> {
    late_on(&valid(shop))
}

fn late_on(shop: &ValidShop) -> Objects<Live> {
    let mut live = done(shop);
    for deployment in live.deployments.iter_mut().filter(|found| !is_of_canary(&**found)) {
        deployment.status = None;
        let applied = fingerprint(deployment).expect("a hash");
        deployment.annotations_mut().insert(names::APPLIED_ANNOTATION.to_owned(), applied);
    }
    let order = live.deployments.iter_mut().find(|found| found.name_any() == "acorn-order").expect("order");
    let progressing = DeploymentCondition {
        type_: "Progressing".to_owned(),
        status: "False".to_owned(),
        reason: Some("ProgressDeadlineExceeded".to_owned()),
        ..DeploymentCondition::default()
    };
    order.status.get_or_insert_default().conditions = Some(vec![progressing]);
    live
}

/// What is chosen: the version that runs, and the attempt that failed.
fn chosen(shop: &Shop, live: &Objects<Live>) -> (String, Option<RolledBack>) {
    let choice = choose(valid(shop), shop, live, Timestamp::from_second(NOW).expect("a time"));
    let images: Vec<&str> = choice.shop.services.iter().map(|service| service.image.as_str()).collect();
    let tag = format!(":{}", choice.shop.version);
    assert!(images.iter().all(|image| image.ends_with(&tag)), "{images:?} are one set");
    (choice.shop.version, choice.returned)
}

#[track_caller]
fn check(shop: &Shop, live: &Objects<Live>, version: &str) {
    let (runs, returned) = chosen(shop, live);
    assert_eq!((runs.as_str(), returned.is_some()), (version, version == "1.0.0"));
}

#[test]
fn a_rollout_that_runs_out_of_time_returns_to_the_images_that_were_ready() {
    let shop = upgraded(300);
    let (version, returned) = chosen(&shop, &late(&shop));
    assert_eq!(version, "1.0.0");
    let message = returned.expect("the attempt that failed").message;
    for part in ["order 2.0.0 did not become ready", "no such column", "the images of 1.0.0 run instead"] {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
}

#[test]
fn older_images_need_no_migration() {
    let shop = upgraded(300);
    let choice = choose(valid(&shop), &shop, &late(&shop), Timestamp::from_second(NOW).expect("a time"));
    assert!(choice.objects.jobs.is_empty());
}

#[test]
fn while_it_still_has_time_a_rollout_goes_on() {
    let shop = upgraded(300);
    check(&shop, &done(&valid(&shop)), "2.0.0");
}

#[test]
fn a_rollout_that_waited_for_a_store_is_not_blamed() {
    let shop = upgraded(299);
    check(&shop, &late(&shop), "2.0.0");
}

#[test]
fn a_rollout_of_another_spec_is_not_blamed_for_the_one_before() {
    let failed = upgraded(300);
    let mut fixed = failed.clone();
    fixed.spec.version = Some("2.0.1".to_owned());
    check(&fixed, &late(&failed), "2.0.1");

    let limits = Some(Amounts { memory: Some("256Mi".to_owned()), cpu: None });
    let resources = Some(Resources { requests: None, limits });
    let mut roomier = failed.clone();
    roomier.spec.services.order = Some(ServiceSpec { resources, ..ServiceSpec::default() });
    check(&roomier, &late(&failed), "2.0.0");
}

#[test]
fn what_failed_stays_away_until_the_spec_changes() {
    let mut shop = upgraded(300);
    let (_, returned) = chosen(&shop, &late(&shop));
    let status = shop.status.as_mut().expect("a status");
    status.rolled_back = returned.clone();
    let returned_to = done(&valid(&shop));
    assert_eq!(chosen(&shop, &returned_to), ("1.0.0".to_owned(), returned));

    shop.spec.lifecycle.hibernated = true;
    check(&shop, &returned_to, "1.0.0");
    shop.spec.redis.embedded.as_mut().expect("a store").data_on_delete = Some(DataOnDelete::Delete);
    check(&shop, &returned_to, "1.0.0");
    shop.spec.currency = "EUR".to_owned();
    check(&shop, &returned_to, "2.0.0");
}

#[test]
fn a_changed_secret_of_somebody_else_is_tried_with_what_failed() {
    let mut shop = upgraded(300);
    let mail = SmtpSpec { secret_name: "acorn-mail".to_owned(), from: "shop@acorn.test".to_owned() };
    shop.spec.users.mail = MailSpec { log: None, smtp: Some(mail) };
    let wanted = |shop: &Shop, password: &str| {
        let data = BTreeMap::from([("password".to_owned(), ByteString(password.into()))]);
        let secret = Secret { data: Some(data), ..Secret::default() };
        let secrets = BTreeMap::from([("acorn-mail".to_owned(), secret)]);
        valid_on(shop, Credentials::dummy(), &Found { secrets, ..Found::default() })
    };
    let now = Timestamp::from_second(NOW).expect("a time");
    let failed = choose(wanted(&shop, "wrong"), &shop, &late_on(&wanted(&shop, "wrong")), now);
    shop.status.as_mut().expect("a status").rolled_back = failed.returned;
    let live = done(&failed.shop);
    assert_eq!(choose(wanted(&shop, "wrong"), &shop, &live, now).shop.version, "1.0.0");
    let again = choose(wanted(&shop, "right"), &shop, &live, now);
    assert_eq!((again.shop.version.as_str(), again.returned), ("2.0.0", None));
}

/// The same with a cache that somebody else runs.
fn with_cache(mut shop: Shop) -> Shop {
    let external = Some(ExternalStore { secret_name: "acorn-cache".to_owned() });
    shop.spec.redis = RedisSpec { embedded: None, external };
    shop
}

#[test]
fn nothing_is_taken_back_while_the_secret_of_a_store_is_gone() {
    let shop = with_cache(upgraded(300));
    let mut found = Found::dummy(&shop);
    // With an authority of its own the cache would be a part of what every service reads.
    let data = found.secrets.get_mut("acorn-cache").and_then(|secret| secret.data.as_mut()).expect("a Secret");
    data.remove(AUTHORITY);
    let on = |found: &Found| valid_on(&shop, Credentials::dummy(), found);
    let (live, now) = (late_on(&on(&found)), Timestamp::from_second(NOW).expect("a time"));
    assert!(choose(on(&found), &shop, &live, now).returned.is_some());
    let blind = choose(on(&Found::default()), &shop, &live, now);
    assert_eq!((blind.shop.version.as_str(), blind.returned), ("2.0.0", None));
}

#[test]
fn what_failed_stays_away_while_the_secret_of_a_store_is_gone_and_when_it_is_back() {
    let mut shop = with_cache(upgraded(300));
    let (_, returned) = chosen(&shop, &late(&shop));
    shop.status.as_mut().expect("a status").rolled_back = returned.clone();
    let live = done(&valid(&shop));
    let blind = valid_on(&shop, Credentials::dummy(), &Found::default());
    let meanwhile = choose(blind, &shop, &live, Timestamp::from_second(NOW).expect("a time"));
    assert_eq!((meanwhile.shop.version.as_str(), &meanwhile.returned), ("1.0.0", &returned));
    assert_eq!(chosen(&shop, &live), ("1.0.0".to_owned(), returned));
}

#[test]
fn without_images_that_were_ready_or_with_the_same_ones_there_is_nothing_to_return_to() {
    let mut shop = upgraded(300);
    let wanted = release(&valid(&shop));
    shop.status.as_mut().expect("a status").last_ready = Some(wanted);
    check(&shop, &late(&shop), "2.0.0");
    shop.status.as_mut().expect("a status").last_ready = None;
    check(&shop, &late(&shop), "2.0.0");
}

/// A Shop of which only order is upgraded, and product is not; each has a canary beside it.
fn with_canaries() -> Shop {
    let mut shop = upgraded(300);
    shop.spec.version = Some("1.0.0".to_owned());
    let canary = CanarySpec { version: Some("3.0.0".to_owned()), image: None, weight: 10, analysis: None };
    let with_canary = ServiceSpec { canary: Some(canary), ..ServiceSpec::default() };
    let image = Some("registry.test/order:2.0.0".to_owned());
    shop.spec.services.order = Some(ServiceSpec { image, ..with_canary.clone() });
    shop.spec.services.product = Some(with_canary);
    shop
}

/// Decides on a cluster which images run, and keeps what the status says of it.
fn step(shop: &mut Shop, live: &Objects<Live>, second: i64) -> (Choice, Canaries) {
    let now = Timestamp::from_second(second).expect("a time");
    let measured = Measurements::new();
    let seen = canary::Facts { live, pods: &[], measured: &measured, now };
    let (wanted, canaries) = decide(valid(shop), shop, &seen);
    let choice = choose(wanted, shop, live, now);
    let canaries = on_their_way(canaries, &choice.shop);
    let status = shop.status.as_mut().expect("a status");
    status.rolled_back.clone_from(&choice.returned);
    let told = |(name, canary): (&&str, &CanaryStatus)| ServiceStatus {
        name: (*name).to_owned(),
        canary: Some(canary.clone()),
        ..ServiceStatus::default()
    };
    status.services = canaries.iter().map(told).collect();
    (choice, canaries)
}

fn phases(canaries: &Canaries) -> Vec<(&'static str, CanaryPhase)> {
    canaries.iter().map(|(service, canary)| (*service, canary.phase)).collect()
}

#[test]
fn a_canary_goes_on_when_another_service_is_taken_back_and_needs_its_migration() {
    use CanaryPhase::{Progressing, Starting};
    let mut shop = with_canaries();
    let live = late(&shop);
    let (_, canaries) = step(&mut shop, &live, NOW - 1);
    assert_eq!(phases(&canaries), [("order", Starting), ("product", Starting)]);

    let (back, canaries) = step(&mut shop, &live, NOW);
    assert_eq!(back.shop.version, "1.0.0");
    assert_eq!(phases(&canaries), [("product", Progressing)], "what order's was to run beside is gone");
    let jobs: Vec<String> = back.objects.jobs.iter().map(ResourceExt::name_any).collect();
    assert!(!jobs.is_empty() && jobs.iter().all(|job| job.starts_with("acorn-product-migrate-")), "{jobs:?}");
    let (later, canaries) = step(&mut shop, &done(&back.shop), NOW + 3600);
    assert!(later.returned.is_some());
    assert_eq!(phases(&canaries), [("product", Progressing)]);
    let runs = |name: &str| later.objects.deployments.iter().any(|found| found.name_any() == name);
    assert!(runs("acorn-product-canary") && !runs("acorn-order-canary"));
}

#[test]
fn a_canary_beside_what_was_taken_back_begins_anew_when_that_is_tried_again() {
    let mut shop = with_canaries();
    let live = late(&shop);
    step(&mut shop, &live, NOW - 1);
    let (back, _) = step(&mut shop, &live, NOW);
    shop.spec.currency = "EUR".to_owned();
    let live = done(&back.shop);
    for second in [3600, 3601, 3899] {
        let (again, canaries) = step(&mut shop, &live, NOW + second);
        assert!(again.returned.is_none() && again.shop.canary_of("order").is_some());
        assert_eq!(canaries["order"].phase, CanaryPhase::Starting, "{}", canaries["order"].message);
    }
}
