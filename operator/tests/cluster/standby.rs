//! Two operators of one release, as the chart installs them: one works, and the other one follows when it leaves, or is gone
//! without a word.

use std::cell::RefCell;
use std::time::Duration;

use http::Request;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, EvictParams};
use serde_json::json;
use shopkeeper_testing::{SHOP, Scene, unrenewed};
use tokio::time::{sleep, timeout};

use crate::frozen::Frozen;

/// What the edits change: no pod knows of it.
const ANNOTATION: &str = "shopkeeper.dev/test";
/// A Lease that was not renewed for so long has run out; who follows sooner was given it.
const RUNS_OUT: SignedDuration = SignedDuration::from_secs(15);
/// Whoever stands by notices by then.
const FOLLOWS_WITHIN: SignedDuration = SignedDuration::from_secs(20);
/// A pod that goes is replaced within this time.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The operator at work is evicted, as when its node is emptied; then its follower freezes and its pod is gone, as when a node is
/// lost. A cluster of one node has both: they only prefer different nodes. `release` is what the chart calls its objects.
pub async fn each_operator_is_followed_by_the_other(scene: &Scene, release: &str) {
    let [evicted, _] = until_one_leads(scene, release).await;
    let may_go = |budget: Option<&PodDisruptionBudget>| {
        budget.and_then(|budget| budget.status.as_ref()).is_some_and(|status| status.disruptions_allowed > 0)
    };
    scene.until(release, "lets one go", may_go).await;
    let eviction = async {
        scene.api::<Pod>().evict(&evicted, &EvictParams::default()).await.expect("the budget lets one go");
    };
    let since = follows(scene, release, &evicted, eviction).await;
    assert!(since < RUNS_OUT, "it was not given up: nobody had renewed it for {since:?}");
    a_change_is_carried_out(scene, "after the eviction").await;

    let [lost, _] = until_one_leads(scene, release).await;
    let pod: Pod = scene.api().get(&lost).await.expect("the pod");
    // It can give nothing up, whatever the kubelet asks of it before it is killed.
    let frozen = Frozen::all_of(&pod);
    let loss = async {
        scene.api::<Pod>().delete(&lost, &DeleteParams::default().grace_period(0)).await.expect("a deletion");
    };
    let since = follows(scene, release, &lost, loss).await;
    assert!(since <= FOLLOWS_WITHIN, "nobody had renewed it for {since:?}");
    a_change_is_carried_out(scene, "after the loss").await;
    frozen.stood_still();
    drop(frozen);
    until_one_leads(scene, release).await;
}

/// Lets `leader` come to its `end`, and waits until the Lease is another pod's. Answers with how long nobody had renewed it.
async fn follows(scene: &Scene, release: &str, leader: &str, end: impl Future<Output = ()>) -> SignedDuration {
    // Whoever gives it up leaves the time at which it was renewed last.
    let left: RefCell<Lease> = RefCell::new(scene.api().get(release).await.expect("the Lease"));
    let passed_on = |lease: Option<&Lease>| {
        let Some(lease) = lease else { return false };
        let passed_on = holder(lease).is_some_and(|pod| pod != leader);
        if !passed_on {
            left.borrow_mut().clone_from(lease);
        }
        passed_on
    };
    let (taken, ()) = tokio::join!(scene.until(release, "is passed on", passed_on), end);
    unrenewed(&left.borrow(), &taken.expect("the Lease")).expect("the times of a Lease")
}

/// Changes something, and waits until it is on the cluster.
async fn a_change_is_carried_out(scene: &Scene, value: &str) {
    scene.edit(&json!({"ingress": {"annotations": {ANNOTATION: value}}})).await.expect("an edit");
    let changed = |route: Option<&Ingress>| {
        route.and_then(|route| route.annotations().get(ANNOTATION)).is_some_and(|found| found == value)
    };
    scene.until(SHOP, "is changed", changed).await;
    scene.until_shop("Ready", "True", None).await;
}

/// Waits until two operators are ready, of which one says that it leads; answers with that one first.
async fn until_one_leads(scene: &Scene, release: &str) -> [String; 2] {
    let told = async {
        loop {
            if let Some(places) = places(scene, release).await {
                return places;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, told).await.expect("there are not two operators, of which one leads")
}

/// Who leads and who stands by, once probes, metrics and the Lease say the same.
async fn places(scene: &Scene, release: &str) -> Option<[String; 2]> {
    let (mut lead, mut stand_by) = (Vec::new(), Vec::new());
    for pod in scene.pods("operator").await {
        let (readiness, metrics) = (ask(scene, &pod, "readyz").await?, ask(scene, &pod, "metrics").await?);
        let tells_of_shops = metrics.contains("shopkeeper_shop_phase{");
        match &*readiness {
            "ok\n" if tells_of_shops => lead.push(pod),
            text if text.starts_with("standing by") && !tells_of_shops => stand_by.push(pod),
            _ => return None,
        }
    }
    // They are not asked at the same moment: the Lease may have passed on.
    if lead.len() != 1 {
        return None;
    }
    let lease: Lease = scene.api().get(release).await.expect("the Lease");
    let agreed = holder(&lease)? == lead.first()?;
    <[String; 2]>::try_from([lead, stand_by].concat()).ok().filter(|_| agreed)
}

/// What an operator answers, asked through the API server; nothing as long as it is not ready.
async fn ask(scene: &Scene, pod: &str, path: &str) -> Option<String> {
    let url = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/{path}", scene.namespace);
    let question = Request::get(url).body(Vec::new()).expect("a request");
    scene.client.request_text(question).await.ok()
}

/// The pod in the Lease; behind its name is the number of a process.
fn holder(lease: &Lease) -> Option<&str> {
    let identity = lease.spec.as_ref()?.holder_identity.as_deref()?;
    identity.rsplit_once('-').map(|(pod, _)| pod)
}
