//! What is wrong with pods, in the kubelet's and scheduler's own words.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::component;
use crate::names;

/// What a message of the kubelet or a container's log is cut to.
const MESSAGE_CHARACTERS: usize = 300;
/// From so many restarts on a failure is one of a series.
const RESTARTS_OF_A_LOOP: i32 = 2;
/// A container that ran for this long begins no such series, nor goes on with one: the kubelet starts it again without a pause.
const LONG_RUN: SignedDuration = SignedDuration::from_mins(10);
/// A pod is made, and ready, within this time where nothing is wrong.
const USUAL: SignedDuration = SignedDuration::from_mins(1);

/// A pod that cannot do its work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub pod: String,
    pub component: String,
    pub reason: String,
    pub message: String,
    /// Whether it stays until somebody does something about it.
    pub lasting: bool,
}

impl Problem {
    /// Whether the pod is one of a service's migration.
    pub fn is_of_migration(&self, service: &str) -> bool {
        self.component == names::migration(service)
    }

    /// Whether it is that of a Job, or of a pod of one.
    pub fn is_of_job(&self, job: &str, pods: &[Pod]) -> bool {
        self.pod.starts_with(job) || pods.iter().any(|pod| pod.name_any() == self.pod && is_of_job(pod, job))
    }

    pub fn text(&self) -> String {
        if self.message.is_empty() { self.reason.clone() } else { format!("{}: {}", self.reason, self.message) }
    }
}

/// The problems of all pods, newest pod first: that is the one of the version being rolled out.
pub(crate) fn problems<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Vec<Problem> {
    newest_first(pods).into_iter().filter_map(problem).collect()
}

/// Whether a pod is of a Job. Its name begins with that of the Job, or only with the beginning of one that is long.
pub(super) fn is_of_job(pod: &Pod, job: &str) -> bool {
    pod.name_any().starts_with(job) || pod.owner_references().iter().any(|owner| owner.name == job)
}

/// Pods that run and are not ready: nobody but they themselves can say why.
pub(super) fn unready<'a>(pods: impl IntoIterator<Item = &'a Pod>, now: Timestamp) -> Vec<Problem> {
    let is_unready = |container: &ContainerStatus| {
        let running = container.state.as_ref().and_then(|state| state.running.as_ref());
        !container.ready && running.is_some_and(|run| is_overdue(run.started_at.as_ref(), now))
    };
    let waits = |pod: &&Pod| {
        let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.any(is_unready)
    };
    let told = |pod: &Pod| {
        let name = pod.name_any();
        let message = format!("{name} runs and is not ready: `kubectl logs {name}` says why");
        Problem { pod: name, component: component(pod), reason: "NotReady".to_owned(), message, lasting: false }
    };
    newest_first(pods).into_iter().filter(waits).map(told).collect()
}

/// Whether what began then should have come further by now.
pub(super) fn is_overdue(began: Option<&Time>, now: Timestamp) -> bool {
    began.is_some_and(|began| began.0 + USUAL <= now)
}

fn newest_first<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Vec<&'a Pod> {
    let mut pods: Vec<&Pod> = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by_key(|pod| Reverse((pod.creation_timestamp().map(|time| time.0), pod.name_any())));
    pods
}

fn problem(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
    let containers = status.container_statuses.iter().flatten();
    let told = |type_: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    let turned = told("Ready").and_then(|ready| ready.last_transition_time.as_ref());
    let mut unready = containers.filter(|container| !container.ready);
    let (reason, message, lasting) = unready.find_map(|container| of_container(container, turned)).or_else(|| {
        let unscheduled = told("PodScheduled").filter(|scheduled| scheduled.status == "False")?;
        Some((unscheduled.reason.clone()?, unscheduled.message.clone().unwrap_or_default(), true))
    })?;
    Some(Problem { pod: pod.name_any(), component: component(pod), reason, message: ending(message.trim()), lasting })
}

/// What is wrong with a container of a pod whose readiness turned last at the given time.
fn of_container(container: &ContainerStatus, turned: Option<&Time>) -> Option<(String, String, bool)> {
    let state = container.state.as_ref()?;
    let end = failed(Some(state)).or_else(|| failed(container.last_state.as_ref()));
    match state.waiting.as_ref().map(|waiting| (waiting.reason.as_deref(), &waiting.message)) {
        Some((None | Some("ContainerCreating" | "PodInitializing"), _)) => None,
        // The kubelet alternates between these two; the status should not.
        Some((Some("ErrImagePull" | "ImagePullBackOff"), message)) => {
            let message = message.clone().unwrap_or_default();
            let text = format!("{} cannot be pulled: {}", container.image, cause(&message));
            Some(("ImagePullBackOff".to_owned(), text, true))
        }
        Some((Some("CrashLoopBackOff"), _)) => Some(of_loop(end)),
        Some((Some(reason), message)) => Some((reason.to_owned(), message.clone().unwrap_or_default(), true)),
        None if was_ready(state, turned) => None,
        // So it does between the turns of a loop.
        None if is_looping(container, state) => Some(of_loop(end)),
        None => end.map(of_end).map(|(reason, message)| (reason, message, false)),
    }
}

/// Whether a container that runs was ready since it started: how it ended before is no news any more.
fn was_ready(state: &ContainerState, turned: Option<&Time>) -> bool {
    let start = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    start.zip(turned).is_some_and(|(start, turned)| start < turned)
}

/// Whether a container that runs, or has just ended, is on its way back to `CrashLoopBackOff`.
fn is_looping(container: &ContainerStatus, state: &ContainerState) -> bool {
    let is_short = |ended: &ContainerStateTerminated| {
        let run = ended.started_at.as_ref().zip(ended.finished_at.as_ref());
        run.is_none_or(|(start, end)| end.0.duration_since(start.0) < LONG_RUN)
    };
    container.restart_count >= RESTARTS_OF_A_LOOP
        && failed(container.last_state.as_ref()).is_some_and(is_short)
        && failed(Some(state)).is_none_or(is_short)
}

fn of_loop(end: Option<&ContainerStateTerminated>) -> (String, String, bool) {
    let (why, message) = end.map(of_end).unwrap_or_default();
    ("CrashLoopBackOff".to_owned(), format!("{why} {message}"), true)
}

/// The innermost part of an error of the container runtime. What is around it repeats the image, and has port numbers
/// in it that differ from try to try.
fn cause(message: &str) -> &str {
    message.rsplit(": ").next().unwrap_or(message)
}

fn failed(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref().filter(|ended| ended.exit_code != 0)
}

fn of_end(ended: &ContainerStateTerminated) -> (String, String) {
    let reason = ended.reason.clone().unwrap_or_else(|| "Error".to_owned());
    let message = ended.message.clone().unwrap_or_else(|| format!("exit code {}", ended.exit_code));
    (reason, message)
}

/// The end of a text: a log says last what went wrong.
fn ending(text: &str) -> String {
    let surplus = text.chars().count().saturating_sub(MESSAGE_CHARACTERS);
    if surplus == 0 { text.to_owned() } else { format!("...{}", text.chars().skip(surplus).collect::<String>()) }
}
