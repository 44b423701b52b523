//! What is wrong with pods, in the kubelet's and scheduler's own words.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use crate::names;

/// What a message of the kubelet or a container's log is cut to.
const MESSAGE_CHARACTERS: usize = 300;

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

    pub fn text(&self) -> String {
        if self.message.is_empty() { self.reason.clone() } else { format!("{}: {}", self.reason, self.message) }
    }
}

/// The problems of all pods, newest pod first: that is the one of the version being rolled out.
pub(crate) fn problems(pods: &[Pod]) -> Vec<Problem> {
    let mut pods: Vec<&Pod> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by_key(|pod| std::cmp::Reverse((pod.creation_timestamp().map(|time| time.0), pod.name_any())));
    pods.into_iter().filter_map(problem).collect()
}

fn problem(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
    let containers = status.container_statuses.iter().flatten();
    let (reason, message, lasting) = containers.filter(|c| !c.ready).find_map(of_container).or_else(|| {
        let mut conditions = status.conditions.iter().flatten();
        let unscheduled = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some((unscheduled.reason.clone()?, unscheduled.message.clone().unwrap_or_default(), true))
    })?;
    Some(Problem {
        pod: pod.name_any(),
        component: pod.labels().get(names::COMPONENT_LABEL).cloned().unwrap_or_default(),
        reason,
        message: ending(message.trim()),
        lasting,
    })
}

fn of_container(container: &ContainerStatus) -> Option<(String, String, bool)> {
    let state = container.state.as_ref()?;
    if let Some(ended) = failed(Some(state)) {
        return Some(of_end(ended, false));
    }
    let last_end = failed(container.last_state.as_ref());
    match state.waiting.as_ref().map(|waiting| (waiting.reason.as_deref(), &waiting.message)) {
        Some((None | Some("ContainerCreating" | "PodInitializing"), _)) => None,
        // The kubelet alternates between these two; the status should not.
        Some((Some("ErrImagePull" | "ImagePullBackOff"), message)) => {
            let message = message.clone().unwrap_or_default();
            let text = format!("{} cannot be pulled: {}", container.image, cause(&message));
            Some(("ImagePullBackOff".to_owned(), text, true))
        }
        Some((Some("CrashLoopBackOff"), _)) => {
            let (why, message, _) = last_end.map(|ended| of_end(ended, true)).unwrap_or_default();
            Some(("CrashLoopBackOff".to_owned(), format!("{why} {message}"), true))
        }
        Some((Some(reason), message)) => Some((reason.to_owned(), message.clone().unwrap_or_default(), true)),
        None => last_end.map(|ended| of_end(ended, false)),
    }
}

/// The innermost part of an error of the container runtime. What is around it repeats the image, and has port numbers
/// in it that differ from try to try.
fn cause(message: &str) -> &str {
    message.rsplit(": ").next().unwrap_or(message)
}

fn failed(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref().filter(|ended| ended.exit_code != 0)
}

fn of_end(ended: &ContainerStateTerminated, lasting: bool) -> (String, String, bool) {
    let reason = ended.reason.clone().unwrap_or_else(|| "Error".to_owned());
    let message = ended.message.clone().unwrap_or_else(|| format!("exit code {}", ended.exit_code));
    (reason, message, lasting)
}

/// The end of a text: a log says last what went wrong.
fn ending(text: &str) -> String {
    let surplus = text.chars().count().saturating_sub(MESSAGE_CHARACTERS);
    if surplus == 0 { text.to_owned() } else { format!("...{}", text.chars().skip(surplus).collect::<String>()) }
}
