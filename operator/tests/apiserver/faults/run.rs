//! One run: a scenario with one operator after the other, and perhaps with something going wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::api::{DeleteParams, PostParams, Preconditions};
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{Kubelet, SHOP, Scene, rights};
use tokio::task::JoinSet;

use super::door::Door;
use super::keepsakes::Keepsakes;
use super::plan::{Plan, Point};
use super::scenario::Scenario;
use crate::scene::{config, with_scene};
use crate::snapshot::{Snapshot, of_any_shop, snapshot};

/// Reconciles after which a Shop that is as wanted has nothing left to say.
const LAST_WORDS: usize = 5;
/// Reconciles in a row that write nothing when it has come to rest.
const SILENCE: usize = 2;

/// Where a run ended, and how.
pub struct End {
    /// Everything in the namespace that is the same in every run.
    pub objects: Snapshot,
    /// What took effect of what operators wrote.
    pub changes: BTreeSet<String>,
    /// Names of the volumes and Secrets that were deleted.
    pub deleted: BTreeSet<String>,
    /// What is wrong, whatever the reference did.
    pub complaints: Vec<String>,
    /// What operators did and heard in the scenario.
    pub trace: Vec<Point>,
    /// Whether what was to go wrong did.
    pub met: bool,
}

/// Plays a scenario, with what the plan lets go wrong.
pub async fn run(scenario: Scenario, plan: Option<Plan>) -> End {
    with_scene(move |scene, kubelet| played(scene, kubelet, scenario, plan)).await
}

async fn played(scene: Arc<Scene>, _kubelet: Kubelet, scenario: Scenario, plan: Option<Plan>) -> End {
    let keepsakes = Keepsakes::watch(&scene);
    let door = Door::new(scene.clone(), plan);
    let mut operators = JoinSet::new();
    operators.spawn(lives(scene.clone(), door.clone()));
    scenario.play(&scene, || door.record.begin()).await;
    let trace = door.record.end();

    let mut complaints: Vec<String> = restless(&door).await.into_iter().collect();
    assert!(operators.try_join_next().is_none(), "operators are started until they are stopped");
    operators.shutdown().await;
    let more = scene.writes_of_a_reconcile().await;
    if !more.is_empty() {
        complaints.push(format!("the next operator has something to put right: {more:?}"));
    }
    complaints.extend(keepsakes.complaints(scenario.rotations()));
    End {
        objects: of_any_shop(&scene.namespace, snapshot(&scene).await),
        changes: door.record.changes(),
        deleted: keepsakes.deleted(),
        complaints,
        trace,
        met: door.record.is_met(),
    }
}

/// One operator after the other.
async fn lives(scene: Arc<Scene>, door: Arc<Door>) {
    let config = rights::of_operator(config().await);
    loop {
        let _operator = scene.operate_as(door.client(config.clone()));
        door.killed().await;
    }
}

/// Deletes the Shop and makes it again as it was.
pub async fn recreate(scene: &Scene) {
    loop {
        let Shop { metadata, spec, .. } = scene.shop().await;
        let same = Preconditions { uid: metadata.uid, resource_version: metadata.resource_version };
        let params = DeleteParams::default().preconditions(same);
        match scene.api::<Shop>().delete(SHOP, &params).await {
            // What was asked for in between must not be lost.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            deleted => {
                deleted.expect("a deletion");
                let mut again = Shop::new(SHOP, spec);
                again.metadata.annotations = metadata.annotations;
                scene.api().create(&PostParams::default(), &again).await.expect("a Shop");
                return;
            }
        }
    }
}

/// Whether the operator goes on writing when everything is as wanted.
async fn restless(door: &Door) -> Option<String> {
    let (mut silence, mut said, mut last) = (0, door.record.writes().len(), Vec::new());
    for _ in 0..=LAST_WORDS + SILENCE {
        door.another_look().await;
        let writes = door.record.writes().split_off(said);
        said += writes.len();
        if writes.is_empty() {
            silence += 1;
        } else {
            (silence, last) = (0, writes);
        }
        // The first look may still have to do with what was there before.
        if silence > SILENCE {
            return None;
        }
    }
    Some(format!("it does not come to rest: {last:?}"))
}
