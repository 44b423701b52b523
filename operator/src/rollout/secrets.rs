//! Secrets that a Shop made once and does not want any more, such as the private keys of a mesh that was switched off.
//!
//! They go when nothing can read them: the pods of before are left for as long as a rollout takes, and may start again meanwhile.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Secret};
use kube::ResourceExt;

use super::{rolled_out, runs};
use crate::apply::ownership::owns;
use crate::objects::{Desired, Live, Objects};
use crate::validate::ValidShop;

/// Secrets that are neither wanted nor read by anything that is.
#[must_use]
pub fn obsolete_secrets<'a>(shop: &ValidShop, wanted: &Objects<Desired>, live: &'a [Secret]) -> Vec<&'a Secret> {
    // A Secret with the address of a store that is not known now is not wanted either, and stays.
    if !shop.knows_its_stores() {
        return Vec::new();
    }
    let made = names(&wanted.secrets);
    // The spec may name one that was made for the Shop, which makes it somebody's own.
    let read: BTreeSet<&str> = templates(wanted).flat_map(read_by).collect();
    let is_of_use = |name: &str| made.contains(name) || read.contains(name);
    live.iter().filter(|secret| !is_of_use(&secret.name_any())).collect()
}

/// Names of those that are not wanted and must stay for now.
pub(super) fn staying(
    shop: &ValidShop,
    wanted: &Objects<Desired>,
    live: &Objects<Live>,
    pods: &[Pod],
) -> BTreeSet<String> {
    let of_pods = pods.iter().filter(|pod| runs(pod)).filter_map(|pod| pod.spec.as_ref());
    let read: BTreeSet<&str> = templates(live).chain(of_pods).flat_map(read_by).collect();
    let settled = live.deployments.iter().all(rolled_out);
    let obsolete = obsolete_secrets(shop, wanted, &live.secrets).into_iter().map(ResourceExt::name_any);
    let leaving: BTreeSet<String> = obsolete.filter(|name| settled && !read.contains(name.as_str())).collect();
    let made = names(&wanted.secrets);
    // They were found by their names alone, which somebody else's may have too.
    let ours = live.secrets.iter().filter(|secret| owns(&shop.owner.uid, *secret)).map(ResourceExt::name_any);
    ours.filter(|name| !made.contains(name) && !leaving.contains(name)).collect()
}

fn names(secrets: &[Secret]) -> BTreeSet<String> {
    secrets.iter().map(ResourceExt::name_any).collect()
}

/// What pods are made from.
fn templates<Stage>(objects: &Objects<Stage>) -> impl Iterator<Item = &PodSpec> {
    let deployments = objects.deployments.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
    let stateful_sets = objects.stateful_sets.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
    let jobs = objects.jobs.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
    deployments.chain(stateful_sets).chain(jobs)
}

/// Names of the Secrets that a pod mounts, reads as variables, or is pulled with.
fn read_by(pod: &PodSpec) -> Vec<&str> {
    let containers: Vec<_> = pod.containers.iter().chain(pod.init_containers.iter().flatten()).collect();
    let mounted = pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
    let sources = containers.iter().flat_map(|container| container.env_from.iter().flatten());
    let whole = sources.filter_map(|source| Some(source.secret_ref.as_ref()?.name.as_str()));
    let variables = containers.iter().flat_map(|container| container.env.iter().flatten());
    let single = variables.filter_map(|found| Some(found.value_from.as_ref()?.secret_key_ref.as_ref()?.name.as_str()));
    let projected = pod.volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref()?.sources.as_ref());
    let parts = projected.flatten().filter_map(|source| Some(source.secret.as_ref()?.name.as_str()));
    let pulls = pod.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str());
    mounted.chain(whole).chain(single).chain(parts).chain(pulls).collect()
}
