//! What has to wait for something else, and for what.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};
use shopkeeper_operator::crd::{GatewaySpec, Mtls, ParentReference, Shop};
use shopkeeper_operator::names;
use shopkeeper_operator::observe::Observed;
use shopkeeper_operator::stores::Found;

use super::{observed, planned, planned_of, planned_on, told};
use crate::support::{MINIMAL, OPERATED, SCALED, done, running, shop, valid};

#[test]
fn an_ingress_goes_after_the_route_that_takes_its_place() {
    let through_a_gateway = |shop: &mut Shop| {
        let gate = ParentReference { name: "gate".to_owned(), ..ParentReference::default() };
        shop.spec.ingress.gateway = Some(GatewaySpec { parent_refs: vec![gate] });
    };
    let expected = ["create HTTPRoute acorn", "delete Ingress acorn later"];
    assert_eq!(told(&planned(through_a_gateway, |_| {})), expected);
}

#[test]
fn a_route_through_a_gateway_and_what_only_it_leads_to_go_after_an_ingress_is_served() {
    let before = shop(OPERATED);
    let mut wanted = before.clone();
    wanted.spec.ingress.gateway = None;
    let observed = Observed { stores: Found::dummy(&wanted), ..observed(done(&valid(&before))) };
    let mut lines = told(&planned_of(Some(&before), &wanted, observed));
    assert!(lines.contains(&"create Ingress beech".to_owned()), "{lines:#?}");
    lines.retain(|line| line.starts_with("delete "));
    assert_eq!(lines, ["delete Service beech-user-canary later", "delete HTTPRoute beech later"]);
}

#[test]
fn secrets_that_nothing_reads_any_more_go_after_the_pods_that_do() {
    let changes = planned(|shop| shop.spec.mesh.mtls = Mtls::Off, |_| {});
    let deleted = told(&changes).into_iter().filter(|line| line.starts_with("delete Secret")).collect::<Vec<_>>();
    assert_eq!(deleted.len(), 3 + 4, "services of the mesh, and stores: {deleted:#?}");
    assert!(deleted.contains(&"delete Secret acorn-order-identity later".to_owned()), "{deleted:#?}");
}

#[test]
fn a_policy_becomes_stricter_at_once_or_when_the_pods_of_before_are_gone_and_what_is_new_in_it_never_waits() {
    let block = IPBlock { cidr: "192.0.2.0/24".to_owned(), ..IPBlock::default() };
    let mut before = shop(MINIMAL);
    before.spec.mesh.network_policy.egress_to =
        vec![NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }];
    let of_order = |edit: &dyn Fn(&mut Shop)| -> Vec<String> {
        let lines = told(&planned_on(Some(&before), edit, running(&valid(&before)))).into_iter();
        let fields = lines.filter_map(|line| Some(line.split_once(": ")?.0.to_owned()));
        fields.filter(|field| field.starts_with("NetworkPolicy acorn-order ")).collect()
    };
    assert_eq!(of_order(&|_: &mut Shop| ()), ["NetworkPolicy acorn-order spec.egress"]);
    assert_eq!(
        of_order(&|shop: &mut Shop| shop.spec.version = Some("9.9.9".to_owned())),
        [
            "NetworkPolicy acorn-order metadata.labels[app.kubernetes.io/version]",
            "NetworkPolicy acorn-order later spec.egress"
        ]
    );
}

#[test]
fn policies_forget_a_canary_after_its_pods_are_gone() {
    let before = shop(SCALED);
    let mut without = before.clone();
    without.spec.services.order.as_mut().expect("order").canary = None;
    let mut pod = Pod::default();
    pod.metadata.labels = Some(names::labels("alder", &names::canary("order"), "2.0.0"));
    let live = running(&valid(&before));
    let observed = Observed { pods: vec![pod], stores: Found::dummy(&before), ..observed(live) };
    let lines = told(&planned_of(Some(&before), &without, observed));
    assert!(lines.contains(&"delete Deployment alder-order-canary".to_owned()), "{lines:#?}");
    let mut policies = lines.into_iter().filter(|line| line.starts_with("NetworkPolicy ")).peekable();
    assert!(policies.peek().is_some(), "policies name the canary");
    let at_once: Vec<String> = policies.filter(|line| !line.contains(" later ")).collect();
    assert_eq!(at_once, [""; 0]);
}
