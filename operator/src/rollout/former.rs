//! Pods that were made from another template than the present one, and are to be replaced.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;

use super::{component, stuck};
use crate::objects::Objects;

/// Label of a Deployment's pod with the hash of the template that it was made from.
const HASH_LABEL: &str = "pod-template-hash";

/// Whether a pod is to be replaced. Of one whose controller has not seen the present template yet, nothing else is known.
pub(crate) fn is_of_before<Stage>(pod: &Pod, objects: &Objects<Stage>, pods: &[Pod]) -> bool {
    let name = component(pod);
    let set = objects.stateful_sets.iter().find(|found| component(*found) == name);
    let deployment = objects.deployments.iter().find(|found| component(*found) == name);
    set.is_some_and(|found| is_of_set_before(pod, found)) || deployment.is_some_and(|found| was_left(pod, found, pods))
}

fn is_of_set_before(pod: &Pod, found: &StatefulSet) -> bool {
    let observed = found.status.as_ref().and_then(|status| status.observed_generation);
    observed < found.metadata.generation || stuck::is_of_before(found, pod)
}

/// A Deployment does not say the hash of its template: its pods are those like the newest one that fits it. The newest of all may be
/// of before, if that one had to replace a pod.
fn was_left(pod: &Pod, found: &Deployment, pods: &[Pod]) -> bool {
    let status = found.status.as_ref().filter(|status| status.observed_generation >= found.metadata.generation);
    if status.and_then(|status| status.updated_replicas).unwrap_or(0) == 0 {
        return true;
    }
    let siblings = pods.iter().filter(|other| component(*other) == component(pod));
    let staying = siblings.filter(|other| other.metadata.deletion_timestamp.is_none());
    let age = |other: &&Pod| (other.creation_timestamp().map(|time| time.0), other.name_any());
    let newest = staying.clone().filter(|other| fits(other, found)).max_by_key(age).or_else(|| staying.max_by_key(age));
    newest.is_some_and(|newest| newest.labels().get(HASH_LABEL) != pod.labels().get(HASH_LABEL))
}

/// Whether a pod has the labels, annotations and images of a Deployment's template.
fn fits(pod: &Pod, found: &Deployment) -> bool {
    let Some(template) = found.spec.as_ref().map(|spec| &spec.template) else { return false };
    let has = |there: &BTreeMap<String, String>, wanted: Option<&BTreeMap<String, String>>| {
        wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| there.get(key) == Some(value)))
    };
    let wanted = template.metadata.as_ref();
    has(pod.labels(), wanted.and_then(|wanted| wanted.labels.as_ref()))
        && has(pod.annotations(), wanted.and_then(|wanted| wanted.annotations.as_ref()))
        && images(pod.spec.as_ref()).eq(images(template.spec.as_ref()))
}

fn images(pod: Option<&PodSpec>) -> impl Iterator<Item = Option<&str>> {
    pod.into_iter().flat_map(|pod| &pod.containers).map(|container| container.image.as_deref())
}
