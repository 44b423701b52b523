//! What runs while the Deployments that are wanted wait for their turn: what ran before, also when the Shop slept meanwhile.
//!
//! A Deployment that is held keeps its template, which is one that was migrated. A Shop that falls asleep takes only its pods, and
//! gives them back when the stores are there again. One that is gone, or has no pods and another image than the one that was
//! ready, is made with that one: its migration is done, as it is where a rollout is taken back.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::{image, is_among};
use crate::build;
use crate::names;
use crate::validate::{ValidService, ValidShop};

/// Deployments that are held and have pods, which they are to lose.
pub(super) fn put_to_sleep(
    desired: &[Deployment],
    held: &BTreeSet<String>,
    live: &[Deployment],
) -> BTreeMap<String, i32> {
    let awake = live.iter().filter(|found| replicas(found) > 0).map(ResourceExt::name_any);
    awake.filter(|name| held.contains(name) && !is_among(desired, name)).map(|name| (name, 0)).collect()
}

/// Deployments that are held and have no pods, which get them back: the wanted number. Adds those that have to be made.
pub(super) fn give_back(
    shop: &ValidShop,
    desired: &mut Vec<Deployment>,
    held: &BTreeSet<String>,
    live: &[Deployment],
) -> BTreeMap<String, i32> {
    let mut given_back = BTreeMap::new();
    let mut made: Vec<ValidService> = Vec::new();
    for service in &shop.services {
        let name = names::component(&shop.name, service.service.name);
        let found = live.iter().find(|found| found.name_any() == name);
        if found.is_some_and(|found| replicas(found) > 0) || !held.contains(&name) || is_among(desired, &name) {
            continue;
        }
        let was_ready = shop.last_ready.as_ref().and_then(|last| last.images.get(service.service.name));
        match (found, was_ready) {
            (Some(found), was_ready) if was_ready.is_none_or(|was| image(found) == Some(was.as_str())) => {
                given_back.insert(name, service.replicas.least());
            }
            (_, Some(was_ready)) => made.push(service.with_image(was_ready)),
            (_, None) => {}
        }
    }
    for canary in shop.canaries() {
        let name = names::component(&shop.name, &canary.component());
        let is_it = |found: &&Deployment| found.name_any() == name && image(found) == Some(canary.image.as_str());
        if live.iter().find(is_it).is_some_and(|found| replicas(found) == 0) && held.contains(&name) {
            given_back.insert(name, canary.replicas.least());
        }
    }
    // A template without the addresses of a store would be no help.
    if shop.knows_its_stores() && !made.is_empty() {
        desired.extend(build::deployments(shop, &made));
    }
    given_back
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}
