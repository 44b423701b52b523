//! Whom the pods of before reach. A policy is for all pods of a service at once, for those that serve as for their successors.
//!
//! So a way that a service has no use for any more, such as the former port of a store, is closed when no pod is left that needs
//! it. Nothing else holds a policy up: where pods are as wanted, what became stricter applies at once.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule};
use kube::ResourceExt;

use super::{component, is_replaced, runs};
use crate::apply::fingerprint;
use crate::names;
use crate::objects::{Desired, Live, Objects};
use crate::validate::ValidShop;

/// Adds to the policies of services the ways out that pods of before may need.
pub(super) fn widen(
    shop: &ValidShop,
    desired: &mut Objects<Desired>,
    live: &Objects<Live>,
    pods: &[Pod],
    now: Timestamp,
) {
    let Objects { deployments, network_policies, .. } = desired;
    for service in &shop.services {
        let component = service.service.name;
        let name = names::component(&shop.name, component);
        let wanted = network_policies.iter_mut().find(|policy| policy.name_any() == name);
        let found = live.network_policies.iter().find(|policy| policy.name_any() == name);
        let (Some(wanted), Some(found)) = (wanted.and_then(|policy| policy.spec.as_mut()), found) else { continue };
        let egress = wanted.egress.get_or_insert_default();
        let missing = missing(egress, found);
        if !missing.is_empty() && (service.has_former_canary() || has_others(component, deployments, live, pods, now)) {
            egress.extend(missing);
        }
    }
}

/// What a live policy allows and these rules do not name. The API server fills in nothing that a rule of ours leaves out.
fn missing(egress: &[NetworkPolicyEgressRule], found: &NetworkPolicy) -> Vec<NetworkPolicyEgressRule> {
    let mut missing = Vec::new();
    for rule in found.spec.iter().flat_map(|spec| spec.egress.iter().flatten()) {
        if !egress.contains(rule) && !missing.contains(rule) {
            missing.push(rule.clone());
        }
    }
    missing
}

/// Whether a service or its canary has pods that are not as they are wanted now, or pods that are still finishing their work.
fn has_others(service: &str, wanted: &[Deployment], live: &Objects<Live>, pods: &[Pod], now: Timestamp) -> bool {
    let components = [service.to_owned(), names::canary(service)];
    let mut deployments = live.deployments.iter().filter(|found| components.contains(&component(*found)));
    let mut leaving = pods.iter().filter(|pod| components.contains(&component(*pod)) && is_leaving(pod, now));
    deployments.any(|found| !is_as_wanted(found, wanted)) || leaving.any(runs)
}

fn is_as_wanted(found: &Deployment, wanted: &[Deployment]) -> bool {
    let wanted = wanted.iter().find(|wanted| wanted.name_any() == found.name_any());
    let wanted = wanted.and_then(|wanted| fingerprint(wanted).ok());
    let is_wanted = wanted.is_some() && found.annotations().get(names::APPLIED_ANNOTATION) == wanted.as_ref();
    is_wanted && is_replaced(found)
}

/// Whether a pod was asked to stop, and still has time. Of a node that is gone it may be listed for ever.
#[must_use]
pub fn is_leaving(pod: &Pod, now: Timestamp) -> bool {
    pod.metadata.deletion_timestamp.as_ref().is_some_and(|end| end.0 > now)
}
