//! Whom pods reach while their policies change: those of before go on, and nobody is let out for longer than they need.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollout::plan;
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::ValidShop;

use crate::support::{EXTERNAL, MINIMAL, SCALED, running, shop, valid, valid_on};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// The Shop whose PostgreSQL is told to listen at another port.
fn moved() -> ValidShop {
    let shop = shop(EXTERNAL);
    let mut found = Found::dummy(&shop);
    let data = found.secrets.get_mut("hazel-sql").and_then(|secret| secret.data.as_mut()).expect("a Secret");
    data.insert("port".to_owned(), ByteString(b"6432".to_vec()));
    valid_on(&shop, Credentials::dummy(), &found)
}

fn policies(shop: &ValidShop, live: &Objects<Live>, pods: &[Pod]) -> Vec<NetworkPolicy> {
    plan(shop, build(shop), live, pods, &[], NOW).objects.network_policies
}

fn egress(policies: &[NetworkPolicy], name: &str) -> Vec<NetworkPolicyEgressRule> {
    let policy = policies.iter().find(|policy| policy.name_any() == name).expect("a policy");
    policy.spec.clone().and_then(|spec| spec.egress).expect("ways out")
}

/// The ports at which pods reach whoever is there.
fn ports(policies: &[NetworkPolicy], name: &str) -> BTreeSet<i32> {
    let rules = egress(policies, name).into_iter().filter(|rule| rule.to.is_none());
    let ports = rules.flat_map(|rule| rule.ports.unwrap_or_default()).filter_map(|port| port.port);
    ports.map(|port| if let IntOrString::Int(number) = port { number } else { panic!("{port:?}") }).collect()
}

fn deployment<'a>(live: &'a mut Objects<Live>, name: &str) -> &'a mut Deployment {
    live.deployments.iter_mut().find(|found| found.name_any() == name).expect("a Deployment")
}

/// A pod of order that ends then.
fn leaving(end: Timestamp) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.labels = Some(names::labels("hazel", "order", "1.2.3"));
    pod.metadata.deletion_timestamp = Some(Time(end));
    pod
}

#[test]
fn pods_that_serve_reach_a_store_at_its_former_port_until_their_successors_run() {
    let (before, moved) = (valid(&shop(EXTERNAL)), moved());
    let mut live = running(&before);
    let tried = policies(&moved, &live, &[]);
    assert_eq!(ports(&tried, "hazel-order"), BTreeSet::from([5432, 5671, 6432]));
    assert_eq!(ports(&tried, "hazel-order-migrate"), BTreeSet::from([5671, 6432]), "only the new one is tried");
    assert_eq!(ports(&tried, "hazel-cart"), ports(&build(&before).network_policies, "hazel-cart"));

    live.network_policies.clone_from(&tried);
    assert_eq!(policies(&moved, &live, &[]), tried, "what was added once is not added again");

    let mut live = running(&moved);
    live.network_policies = tried;
    deployment(&mut live, "hazel-order").status.get_or_insert_default().replicas = Some(2);
    let rolling = policies(&moved, &live, &[]);
    assert_eq!(ports(&rolling, "hazel-order"), BTreeSet::from([5432, 5671, 6432]), "one of before is left");
    assert_eq!(ports(&rolling, "hazel-payment"), BTreeSet::from([5671, 6432]));

    deployment(&mut live, "hazel-order").status.get_or_insert_default().replicas = Some(1);
    assert_eq!(policies(&moved, &live, &[]), build(&moved).network_policies);
}

#[test]
fn a_pod_that_finishes_its_work_reaches_what_it_did_and_one_that_is_lost_does_not_keep_the_way_open() {
    let moved = moved();
    let mut live = running(&moved);
    live.network_policies = running(&valid(&shop(EXTERNAL))).network_policies;
    let draining = leaving(NOW + SignedDuration::from_secs(20));
    assert!(ports(&policies(&moved, &live, &[draining]), "hazel-order").contains(&5432));
    assert_eq!(policies(&moved, &live, &[leaving(NOW)]), build(&moved).network_policies);
}

#[test]
fn a_policy_that_becomes_stricter_applies_at_once_where_pods_are_as_wanted_also_if_they_are_not_ready() {
    let block = IPBlock { cidr: "192.0.2.0/24".to_owned(), ..IPBlock::default() };
    let mut before = shop(MINIMAL);
    before.spec.mesh.network_policy.egress_to =
        vec![NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }];
    let mut live = running(&valid(&before));
    deployment(&mut live, "acorn-order").status.get_or_insert_default().available_replicas = None;
    let strict = valid(&shop(MINIMAL));
    assert_ne!(live.network_policies, build(&strict).network_policies);
    assert_eq!(policies(&strict, &live, &[]), build(&strict).network_policies);
}

/// A way out of order's pods that nobody wants any more.
fn former_way(live: &mut Objects<Live>) -> NetworkPolicyEgressRule {
    let former = NetworkPolicyEgressRule::default();
    let order = live.network_policies.iter_mut().find(|policy| policy.name_any() == "alder-order").expect("a policy");
    order.spec.as_mut().and_then(|spec| spec.egress.as_mut()).expect("ways out").push(former.clone());
    former
}

#[test]
fn a_canary_of_before_keeps_its_ways_too() {
    let shop = valid(&shop(SCALED));
    let mut live = running(&shop);
    let former = former_way(&mut live);
    assert!(!egress(&policies(&shop, &live, &[]), "alder-order").contains(&former));
    deployment(&mut live, "alder-order-canary").annotations_mut().clear();
    assert!(egress(&policies(&shop, &live, &[]), "alder-order").contains(&former));
}

#[test]
fn pods_of_a_canary_that_ended_keep_their_ways_before_they_are_asked_to_stop() {
    let mut without = shop(SCALED);
    without.spec.services.order.as_mut().expect("order").canary = None;
    let mut shop = valid(&without);
    let mut live = running(&shop);
    let former = former_way(&mut live);
    assert!(!egress(&policies(&shop, &live, &[]), "alder-order").contains(&former));
    let order = shop.services.iter_mut().find(|service| service.service.name == "order").expect("order");
    order.has_canary_pods = true;
    assert!(egress(&policies(&shop, &live, &[]), "alder-order").contains(&former));
}
