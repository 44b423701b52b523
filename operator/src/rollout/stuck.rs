//! Stores whose pod cannot do its work and was made from another template than the present one.
//!
//! A StatefulSet replaces no pod that is not ready: it waits for it, also where only the next one can become ready. With no replica
//! to keep it lets the pod go, and with one again it makes the next. The volume stays. An annotation tells such a store from one that
//! somebody stopped.

use std::slice;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::component;
use crate::apply::compare::field_contains;
use crate::names;
use crate::status::problems;

/// Label of a pod with the revision of its StatefulSet's template that it was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Takes the replica from each store whose pod has to make room for the next one.
pub(super) fn make_room(wanted: &mut [StatefulSet], live: &[StatefulSet], pods: &[Pod]) {
    for set in wanted {
        let found = live.iter().find(|found| found.name_any() == set.name_any());
        let is_stuck = found.is_some_and(|found| is_stuck(set, found, pods));
        if let Some(spec) = set.spec.as_mut().filter(|_| is_stuck) {
            spec.replicas = Some(0);
            set.annotations_mut().insert(names::ROOM_ANNOTATION.to_owned(), "true".to_owned());
        }
    }
}

/// Whether a store has no replica because its pod was to make room, and the pod is on its way. It gets the replica back before
/// anything can be in the way of the rest.
#[must_use]
pub fn is_owed_its_replica(found: &StatefulSet, pods: &[Pod]) -> bool {
    let taken = found.annotations().contains_key(names::ROOM_ANNOTATION) && has_none(found);
    taken && !pods.iter().any(|pod| is_of_before(found, pod))
}

fn has_none(found: &StatefulSet) -> bool {
    found.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
}

fn is_stuck(wanted: &StatefulSet, found: &StatefulSet, pods: &[Pod]) -> bool {
    let mut of_before = pods.iter().filter(|pod| is_of_before(found, pod));
    // Given back before its controller has seen that it is gone, the replica would keep the pod.
    if has_none(found) {
        return of_before.next().is_some();
    }
    is_told(wanted, found) && of_before.any(|pod| problems(slice::from_ref(pod)).iter().any(|problem| problem.lasting))
}

/// Whether a pod that has not been asked to stop was made from another template than the present one.
pub(super) fn is_of_before(found: &StatefulSet, pod: &Pod) -> bool {
    let present = found.status.as_ref().and_then(|status| status.update_revision.as_ref());
    let revisions = present.zip(pod.labels().get(REVISION_LABEL));
    component(pod) == component(found)
        && pod.metadata.deletion_timestamp.is_none()
        && revisions.is_some_and(|(present, made_from)| present != made_from)
}

/// Whether the present template is the wanted one, and its controller has seen it.
fn is_told(wanted: &StatefulSet, found: &StatefulSet) -> bool {
    let observed = found.status.as_ref().and_then(|status| status.observed_generation);
    let template = |set: &StatefulSet| serde_json::to_value(&set.spec.as_ref()?.template).ok();
    let templates = template(found).zip(template(wanted));
    observed >= found.metadata.generation
        && templates.is_some_and(|(found, wanted)| field_contains("template", &found, &wanted))
}
