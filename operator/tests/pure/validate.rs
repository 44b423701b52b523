//! Questions that the API server cannot answer.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use shopkeeper_operator::crd::{Amounts, GatewaySpec, ParentReference, Resources, ServiceSpec, Shop};
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
fn a_shop_that_was_copied_into_another_namespace_with_its_host_has_no_route() {
    let [original, mut copy] = [aged(1, "a"), aged(2, "b")].map(|mut shop| {
        shop.spec.host = Some("acorn.test".to_owned());
        shop
    });
    copy.metadata.namespace = Some("staging".to_owned());
    let all = [original.clone(), copy.clone()];
    assert_eq!(taken_by(&original, &all), None);
    assert_eq!(taken_by(&copy, &all), Some("oak/shop-a".to_owned()));
    let mut elsewhere = copy.clone();
    elsewhere.spec.ingress.class_name = Some("squirrel".to_owned());
    assert_eq!(taken_by(&elsewhere, &all), None, "another class");
    copy.spec.host = Some("staging.acorn.test".to_owned());
    assert_eq!(taken_by(&copy, &all), None, "another host");
    copy.spec.host = None;
    assert_eq!(taken_by(&copy, &all), None, "every other host");
}

#[test]
fn a_shop_that_was_made_anew_is_not_in_its_own_way() {
    let [mut before, mut anew] = [aged(1, "a"), aged(2, "b")];
    before.metadata.name.clone_from(&anew.metadata.name);
    for host in [None, Some("acorn.test")] {
        for shop in [&mut before, &mut anew] {
            shop.spec.host = host.map(str::to_owned);
        }
        assert_eq!(taken_by(&anew, &[before.clone(), anew.clone()]), None);
    }
}

/// A Gateway as a Shop names it: `name`, `namespace/name`, and behind a colon one of its listeners.
fn reference(text: &str) -> ParentReference {
    let (path, section) = text.split_once(':').map_or((text, None), |(path, section)| (path, Some(section)));
    let (namespace, name) = path.split_once('/').map_or((None, path), |(namespace, name)| (Some(namespace), name));
    let [namespace, section_name] = [namespace, section].map(|part| part.map(str::to_owned));
    ParentReference { name: name.to_owned(), namespace, section_name }
}

/// Whether the younger of two Shops with the same host has no route, each with its namespace and Gateways.
#[track_caller]
fn check_gateways(older: (&str, &[&str]), younger: (&str, &[&str]), taken: bool) {
    for host in [None, Some("acorn.test")] {
        let [older, younger] =
            [(aged(1, "a"), older), (aged(2, "b"), younger)].map(|(mut shop, (namespace, gateways))| {
                shop.metadata.namespace = Some(namespace.to_owned());
                shop.spec.host = host.map(str::to_owned);
                let parent_refs = gateways.iter().map(|text| reference(text)).collect();
                shop.spec.ingress.gateway = Some(GatewaySpec { parent_refs });
                shop
            });
        assert_eq!(taken_by(&younger, &[older]).is_some(), taken, "host {host:?}");
    }
}

#[test]
fn a_gateway_without_a_namespace_is_one_of_the_shops_own() {
    check_gateways(("a", &["gate"]), ("a", &["gate"]), true);
    check_gateways(("a", &["gate"]), ("b", &["gate"]), false);
    check_gateways(("edge", &["gate"]), ("a", &["edge/gate"]), true);
    check_gateways(("a", &["edge/gate"]), ("edge", &["gate"]), true);
    check_gateways(("a", &["edge/gate"]), ("b", &["edge/gate"]), true);
}

#[test]
fn one_gateway_in_common_is_enough() {
    check_gateways(("a", &["g1", "g2"]), ("a", &["g1"]), true);
    check_gateways(("a", &["g2"]), ("a", &["g1", "g2"]), true);
    check_gateways(("a", &["g1", "g2"]), ("a", &["g2", "g1"]), true);
    check_gateways(("a", &["g1", "g2"]), ("a", &["g3"]), false);
}

#[test]
fn listeners_of_a_gateway_are_apart_and_a_gateway_without_one_is_all_of_them() {
    check_gateways(("a", &["gate:web"]), ("a", &["gate:web"]), true);
    check_gateways(("a", &["gate:web"]), ("a", &["gate:inside"]), false);
    check_gateways(("a", &["gate"]), ("a", &["gate:web"]), true);
    check_gateways(("a", &["gate:web"]), ("a", &["gate"]), true);
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
