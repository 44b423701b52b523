//! Pods that are not made, because of a quota or an admission policy. Who was to make them knows more, or has told an event. A canary
//! is not asked: it gives up by itself.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::pods::{Problem, is_of_job, is_overdue};
use super::{Facts, component};
use crate::names;
use crate::rollout::{complete, failed};

/// What is said of a Job or a store that has no pod.
const NO_POD: &str = "NoPod";

pub(super) fn problems(facts: &Facts<'_>) -> Vec<Problem> {
    let jobs = facts.applied.jobs.iter().filter_map(|found| of_job(found, facts));
    let deployments = facts.applied.deployments.iter().filter_map(|found| of_deployment(found, facts));
    let stores = facts.applied.stateful_sets.iter().filter_map(|found| of_store(found, facts));
    jobs.chain(deployments).chain(stores).collect()
}

fn of_job(found: &Job, facts: &Facts<'_>) -> Option<Problem> {
    let name = found.name_any();
    let started = found.status.as_ref().and_then(|status| status.start_time.as_ref());
    let has_pods = facts.pods.iter().any(|pod| is_of_job(pod, &name));
    // One whose pod has failed, or was lost with its node, is to get another one after a pause.
    let has_tried = found.status.as_ref().is_some_and(|status| status.failed.unwrap_or(0) > 0);
    let is_over = has_tried || complete(found) || failed(found);
    (!is_over && !has_pods && is_overdue(started, facts.now)).then(|| Problem {
        component: names::migration(&component(found)),
        reason: NO_POD.to_owned(),
        message: format!("no pod could be created, see `kubectl describe job {name}`"),
        pod: name,
        lasting: true,
    })
}

/// Also what lasts is only told as such after a while: a webhook that restarts refuses pods too.
fn of_deployment(found: &Deployment, facts: &Facts<'_>) -> Option<Problem> {
    let status = found.status.as_ref().filter(|status| status.observed_generation >= found.metadata.generation)?;
    let mut conditions = status.conditions.iter().flatten();
    let refused = conditions.find(|told| told.type_ == "ReplicaFailure" && told.status == "True")?;
    Some(Problem {
        pod: found.name_any(),
        component: component(found),
        reason: refused.reason.clone().unwrap_or_else(|| refused.type_.clone()),
        message: refused.message.clone().unwrap_or_default(),
        lasting: is_overdue(refused.last_transition_time.as_ref(), facts.now),
    })
}

/// Nobody tells since when a store has no pod, and each has none for a moment when it gets another one.
fn of_store(found: &StatefulSet, facts: &Facts<'_>) -> Option<Problem> {
    let (name, component) = (found.name_any(), component(found));
    let is_wanted = found.spec.as_ref().is_some_and(|spec| spec.replicas != Some(0));
    let has_pod = facts.pods.iter().any(|pod| super::component(pod) == component);
    let is_missed = is_wanted && !has_pod && is_overdue(found.metadata.creation_timestamp.as_ref(), facts.now);
    is_missed.then(|| Problem {
        component,
        reason: NO_POD.to_owned(),
        message: format!("it has no pod; if that lasts, see `kubectl describe statefulset {name}`"),
        pod: name,
        lasting: false,
    })
}
