//! Pods that were made from another template than the present one, and are to be replaced.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
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

/// A Deployment does not say the hash of its template. Once there are pods of it, the newest one is among them.
fn was_left(pod: &Pod, found: &Deployment, pods: &[Pod]) -> bool {
    let status = found.status.as_ref().filter(|status| status.observed_generation >= found.metadata.generation);
    if status.and_then(|status| status.updated_replicas).unwrap_or(0) == 0 {
        return true;
    }
    let siblings = pods.iter().filter(|other| component(*other) == component(pod));
    let staying = siblings.filter(|other| other.metadata.deletion_timestamp.is_none());
    let newest = staying.max_by_key(|other| (other.creation_timestamp().map(|time| time.0), other.name_any()));
    newest.is_some_and(|newest| newest.labels().get(HASH_LABEL) != pod.labels().get(HASH_LABEL))
}
