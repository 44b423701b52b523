//! Questions that the API server cannot answer.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use shopkeeper_operator::crd::{Amounts, Resources, ServiceSpec, Shop};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::{Invalid, Quantities, Route, image_version, validate};

use crate::support::{FULL, MINIMAL, shop, valid};

fn aged(seconds: i64, uid: &str) -> Shop {
    let mut shop = shop(MINIMAL);
    shop.metadata.name = Some(format!("shop-{uid}"));
    shop.metadata.uid = Some(uid.to_owned());
    shop.metadata.creation_timestamp = Some(Time(Timestamp::from_second(seconds).expect("a time")));
    shop
}

fn route(shop: &Shop, others: &[Shop], found: &Found) -> Route {
    let others: Vec<Arc<Shop>> = others.iter().cloned().map(Arc::new).collect();
    validate(shop, &others, &Settings::default(), Credentials::dummy(), found).expect("a valid Shop").route
}

fn taken_by(shop: &Shop, others: &[Shop]) -> Option<String> {
    route(shop, others, &Found::default()).taken_by
}

#[test]
fn of_two_shops_without_a_host_the_older_one_has_the_route() {
    let (older, younger) = (aged(1, "a"), aged(2, "b"));
    let all = [older.clone(), younger.clone()];
    assert_eq!(taken_by(&older, &all), None);
    assert_eq!(taken_by(&younger, &all), Some("oak/shop-a".to_owned()));
}

#[test]
fn of_two_shops_of_the_same_second_exactly_one_has_the_route() {
    let (first, second) = (aged(1, "a"), aged(1, "b"));
    let all = [first.clone(), second.clone()];
    assert_ne!(taken_by(&first, &all).is_some(), taken_by(&second, &all).is_some());
}

#[test]
fn another_class_a_host_or_a_deleted_shop_takes_no_route() {
    let younger = aged(2, "b");
    let mut other_class = aged(1, "a");
    other_class.spec.ingress.class_name = Some("squirrel".to_owned());
    let mut with_host = aged(1, "a");
    with_host.spec.host = Some("acorn.test".to_owned());
    let mut leaving = aged(1, "a");
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    assert_eq!(taken_by(&younger, &[other_class, with_host, leaving]), None);
}

#[test]
fn a_shop_that_names_no_class_is_in_the_clusters_default_one() {
    let shop = aged(2, "b");
    let mut named = aged(1, "a");
    named.spec.ingress.class_name = Some("squirrel".to_owned());
    let found = Found { default_class: Some("squirrel".to_owned()), ..Found::dummy(&shop) };
    let route = route(&shop, &[named], &found);
    assert_eq!(route.class_name.as_deref(), Some("squirrel"));
    assert_eq!(route.taken_by.as_deref(), Some("oak/shop-a"));
}

#[test]
fn the_public_address_comes_from_host_and_tls_unless_it_is_given() {
    let mut shop = shop(FULL);
    assert_eq!(valid(&shop).public_url, "https://walnut.test");
    shop.spec.ingress.tls = None;
    assert_eq!(valid(&shop).public_url, "http://walnut.test");
    shop.spec.public_url = Some("https://nuts.test:8443".to_owned());
    assert_eq!(valid(&shop).public_url, "https://nuts.test:8443");
}

#[test]
fn a_version_is_the_tag_or_the_start_of_the_digest() {
    let digest = format!("registry.test/order@sha256:{}", "0a1b".repeat(16));
    for (image, version) in [
        ("shopkeeper/order:0.1.0", "0.1.0"),
        ("registry.test:5000/order:2.0.0-rc.1", "2.0.0-rc.1"),
        ("registry.test:5000/order", "latest"),
        (digest.as_str(), "0a1b0a1b0a1b"),
    ] {
        assert_eq!(image_version(image), version, "{image}");
    }
}

/// Requests and limits of the order service, whose catalog row says 20m, 24Mi and at most 32Mi.
fn resources(requests: Amounts, limits: Amounts) -> Result<Quantities, Invalid> {
    let mut shop = shop(MINIMAL);
    let resources = Some(Resources { requests: Some(requests), limits: Some(limits) });
    shop.spec.services.order = Some(ServiceSpec { resources, ..ServiceSpec::default() });
    let valid =
        validate(&shop, &Vec::<Arc<Shop>>::new(), &Settings::default(), Credentials::dummy(), &Found::default())?;
    Ok(valid.services.into_iter().find(|service| service.service.name == "order").expect("order").resources)
}

/// Amounts by name.
type Wanted<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn check_resources((requests, limits): (Amounts, Amounts), wanted: (Wanted<'_>, Wanted<'_>)) {
    let texts = |wanted: &[(&str, &str)]| wanted.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let wanted = Quantities { requests: texts(wanted.0), limits: texts(wanted.1) };
    assert_eq!(resources(requests, limits), Ok(wanted));
}

#[test]
fn amounts_that_a_shop_does_not_give_are_the_measured_ones_as_far_as_those_it_gives_allow() {
    let none = Amounts::default;
    let cpu = |amount: &str| Amounts { cpu: Some(amount.to_owned()), memory: None };
    let memory = |amount: &str| Amounts { cpu: None, memory: Some(amount.to_owned()) };
    let measured = [("cpu", "20m"), ("memory", "24Mi")];
    check_resources((none(), none()), (&measured, &[("memory", "32Mi")]));
    check_resources((none(), memory("64Mi")), (&measured, &[("memory", "64Mi")]));
    check_resources((none(), cpu("0.5")), (&measured, &[("cpu", "0.5"), ("memory", "32Mi")]));
    check_resources((none(), memory("16Mi")), (&[("cpu", "20m"), ("memory", "16Mi")], &[("memory", "16Mi")]));
    check_resources(
        (none(), cpu("10m")),
        (&[("cpu", "10m"), ("memory", "24Mi")], &[("cpu", "10m"), ("memory", "32Mi")]),
    );
    check_resources((memory("48Mi"), none()), (&[("cpu", "20m"), ("memory", "48Mi")], &[("memory", "48Mi")]));
    check_resources((memory("8Mi"), memory("8192Ki")), (&[("cpu", "20m"), ("memory", "8Mi")], &[("memory", "8192Ki")]));
}

#[test]
fn a_request_above_its_limit_in_a_shop_that_is_older_than_the_rule_is_refused() {
    let memory = |amount: &str| Amounts { cpu: None, memory: Some(amount.to_owned()) };
    let invalid = resources(memory("64Mi"), memory("48Mi")).expect_err("refused");
    assert_eq!(invalid.field, "spec.services.order.resources.requests.memory");
    assert_eq!(invalid.message, "64Mi is more than the limit of 48Mi");
}

#[test]
fn a_store_without_a_place_is_refused_with_what_to_write() {
    let mut shop = shop(MINIMAL);
    shop.spec.redis.embedded = None;
    let outcome =
        validate(&shop, &Vec::<Arc<Shop>>::new(), &Settings::default(), Credentials::dummy(), &Found::default());
    let invalid = outcome.err().expect("refused");
    assert_eq!(invalid, Invalid { field: "spec.redis".to_owned(), message: "write `embedded: {}`".to_owned() });
}
