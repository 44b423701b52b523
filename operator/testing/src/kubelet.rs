//! Pods that claim to run: what a node would report, without one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// Label with what a pod is part of.
const COMPONENT: &str = "app.kubernetes.io/component";
/// Reports that are on their way at the same time.
const AT_ONCE: usize = 8;
/// Pause before a report that was not taken is given again.
const AGAIN: Duration = Duration::from_millis(200);
/// A report is answered within this time, or not at all.
const ANSWER: Duration = Duration::from_secs(15);

/// What keeps the pods of a component from their work.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// So many steps of a crash loop were taken: it waits, runs, has ended, waits again.
    Crashes(u32),
    NoImage,
}

/// The troubles there are, by component.
type Troubles = Arc<Mutex<BTreeMap<String, Trouble>>>;

/// Reports for every pod that it runs, or that it has ended well if it belongs to a Job. Stops when dropped.
#[derive(Debug)]
pub struct Kubelet {
    pods: Api<Pod>,
    troubles: Troubles,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Looks after the pods of one namespace, or of all.
    #[must_use]
    pub fn start(client: &Client, namespace: Option<&str>) -> Self {
        let pods: Api<Pod> =
            namespace.map_or_else(|| Api::all(client.clone()), |name| Api::namespaced(client.clone(), name));
        let troubles = Troubles::default();
        let seen = watcher(pods.clone(), watcher::Config::default()).default_backoff().applied_objects();
        let new = seen.filter_map(|pod| async move { pod.ok().filter(is_new) });
        let task = tokio::spawn(report_all(client.clone(), troubles.clone(), new));
        Self { pods, troubles, task }
    }

    /// From now on the pods of a component do not become ready, and its Jobs fail.
    pub async fn break_down(&self, component: &str) -> kube::Result<()> {
        self.trouble(component, Trouble::Crashes(0)).await
    }

    /// The pods of a component that does not become ready take the next step: those that wait for their next start run, those that
    /// run end, and those that have ended wait.
    pub async fn crash_on(&self, component: &str) -> kube::Result<()> {
        let steps = match self.troubles.lock().unwrap_or_else(PoisonError::into_inner).get(component) {
            Some(Trouble::Crashes(steps)) => steps + 1,
            _ => 0,
        };
        self.trouble(component, Trouble::Crashes(steps)).await
    }

    /// From now on the pods of a component do not start, those of its Jobs neither: their image cannot be pulled.
    pub async fn withhold_image(&self, component: &str) -> kube::Result<()> {
        self.trouble(component, Trouble::NoImage).await
    }

    async fn trouble(&self, component: &str, trouble: Trouble) -> kube::Result<()> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).insert(component.to_owned(), trouble);
        self.report_again(component).await
    }

    /// The opposite of [`Self::break_down`] and [`Self::withhold_image`]; Jobs that failed stay so.
    pub async fn mend(&self, component: &str) -> kube::Result<()> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(component);
        self.report_again(component).await
    }

    async fn report_again(&self, component: &str) -> kube::Result<()> {
        let found = self.pods.list(&ListParams::default().labels(&format!("{COMPONENT}={component}"))).await?;
        let staying = found.items.into_iter().filter(|pod| !has_ended(pod));
        let client = self.pods.clone().into_client();
        let troubles = self.troubles.clone();
        stream::iter(staying).map(Ok).try_for_each(|pod| report(client.clone(), troubles.clone(), pod)).await
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report_all(client: Client, troubles: Troubles, pods: impl Stream<Item = Pod>) {
    let (client, troubles) = (&client, &troubles);
    pods.for_each_concurrent(AT_ONCE, |pod| async move {
        // A pod of which nothing is told never runs, so a report that was not taken is given again, as by any kubelet.
        while !is_settled(&timeout(ANSWER, report(client.clone(), troubles.clone(), pod.clone())).await) {
            sleep(AGAIN).await;
        }
    })
    .await;
}

/// Whether a report was taken, or the pod is gone, perhaps with its namespace.
fn is_settled(outcome: &Result<kube::Result<()>, Elapsed>) -> bool {
    match outcome {
        Ok(Err(kube::Error::Api(status))) => status.code == 404,
        Ok(outcome) => outcome.is_ok(),
        Err(_) => false,
    }
}

async fn report(client: Client, troubles: Troubles, pod: Pod) -> kube::Result<()> {
    let component = pod.labels().get(COMPONENT);
    let trouble = {
        let troubles = troubles.lock().unwrap_or_else(PoisonError::into_inner);
        component.and_then(|component| troubles.get(component).copied())
    };
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    let status = json!({"status": status(&pod, trouble)});
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
}

fn status(pod: &Pod, trouble: Option<Trouble>) -> Value {
    let of_job = pod.owner_references().iter().any(|owner| owner.kind == "Job");
    let crash = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    let (phase, ready, state) = match (of_job, trouble) {
        (true, None) => ("Succeeded", false, json!({"terminated": {"exitCode": 0, "reason": "Completed"}})),
        (true, Some(Trouble::Crashes(_))) => ("Failed", false, crash.clone()),
        (false, None) => ("Running", true, json!({"running": {}})),
        (false, Some(Trouble::Crashes(steps))) => match steps % 3 {
            0 => ("Running", false, json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            1 => ("Running", false, json!({"running": {}})),
            _ => ("Running", false, crash.clone()),
        },
        (_, Some(Trouble::NoImage)) => ("Pending", false, json!({"waiting": {"reason": "ImagePullBackOff"}})),
    };
    let (restarts, last_state) = match trouble {
        Some(Trouble::Crashes(steps)) if !of_job => (1 + steps.div_ceil(3), crash),
        _ => (0, json!({})),
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        json!({
            "name": container.name, "image": container.image, "imageID": "", "ready": ready,
            "restartCount": restarts, "state": state, "lastState": last_state,
        })
    });
    let ready = if ready { "True" } else { "False" };
    json!({
        "phase": phase,
        "conditions": [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": ready}],
        "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

/// Whether nothing was reported for the pod yet.
fn is_new(pod: &Pod) -> bool {
    let reported = pod.status.as_ref().is_some_and(|status| status.container_statuses.is_some());
    !reported && pod.metadata.deletion_timestamp.is_none()
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
