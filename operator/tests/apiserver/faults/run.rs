//! One run: a Shop is made, becomes ready, is changed, and becomes ready again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, ResourceExt};
use serde_json::json;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::observe::Child;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::{Kubelet, SHOP, Scene};
use tokio::task::JoinHandle;

use super::door::Door;
use super::plan::{Plan, Trace};
use crate::snapshot::{Snapshot, snapshot};

/// Reconciles after which a Shop that is ready has nothing left to say.
const LAST_WORDS: usize = 5;

/// Where a run ended.
pub struct End {
    /// Everything in the namespace.
    pub objects: Snapshot,
    /// What took effect of what operators wrote.
    pub changes: BTreeSet<String>,
    /// What is wrong, whatever the reference did.
    pub complaints: Vec<String>,
}

/// Plays it, with what the plan lets go wrong.
pub async fn run(config: Config, plan: Option<Plan>) -> (End, Trace) {
    let scene = Arc::new(Scene::new(config.clone(), Settings::default()).await.expect("a namespace"));
    let cluster = Client::try_from(config.clone()).expect("a client");
    let _kubelet = Kubelet::start(&cluster, Some(&scene.namespace));
    let keepsakes = Keepsakes::watch(&scene);
    let door = Door::new(scene.clone(), plan);
    let lives = tokio::spawn(lives(scene.clone(), door.clone(), config));

    let spec = json!({"host": "acorn.test", "services": {"cart": {"replicas": 2}}});
    scene.create(&spec).await.expect("a Shop");
    scene.until_shop("Ready", "True", None).await;
    let change = json!({
        "services": {"cart": {"replicas": 1}, "order": {"replicas": 2, "logLevel": "debug"}},
        "telemetry": {"embedded": null, "disabled": {}},
    });
    scene.edit(&change).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;

    let mut complaints = keepsakes.complaints();
    lives.abort();
    let stopped = lives.await.is_err_and(|end| end.is_cancelled());
    assert!(stopped, "operators are started until they are stopped");
    complaints.extend(restless(&scene).await);
    let end = End { objects: snapshot(&scene).await, changes: door.changes(), complaints };
    (end, door.trace())
}

/// One operator after the other.
async fn lives(scene: Arc<Scene>, door: Arc<Door>, config: Config) {
    loop {
        let _operator = scene.operate_as(door.client(config.clone()));
        door.killed().await;
    }
}

/// Deletes the Shop and makes it again as it was.
pub async fn recreate(scene: &Scene) {
    let shop = scene.shop().await;
    let again = Shop::new(SHOP, shop.spec);
    scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect("a deletion");
    scene.api().create(&PostParams::default(), &again).await.expect("a Shop");
}

/// Whether a Shop that is ready goes on being written to.
async fn restless(scene: &Scene) -> Option<String> {
    let mut writes = Vec::new();
    for _ in 0..LAST_WORDS {
        writes = scene.writes_of_a_reconcile().await;
        if writes.is_empty() {
            return None;
        }
    }
    Some(format!("it does not come to rest: {writes:?}"))
}

/// What must never be lost or made again: volumes, and the credentials that open them.
struct Keepsakes {
    seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    watches: [JoinHandle<()>; 2],
}

impl Keepsakes {
    fn watch(scene: &Scene) -> Self {
        let seen = Arc::<Mutex<_>>::default();
        let volumes =
            notes::<PersistentVolumeClaim>(scene, watcher::Config::default(), seen.clone(), |_| String::new());
        let credentials = watcher::Config::default().fields("metadata.name=acorn-credentials");
        let values = |secret: &Secret| format!("{:?}", secret.data);
        let credentials = notes::<Secret>(scene, credentials, seen.clone(), values);
        Self { seen, watches: [tokio::spawn(volumes), tokio::spawn(credentials)] }
    }

    fn complaints(self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic while noting").clone();
        let others = seen.iter().filter(|(_, versions)| versions.len() > 1);
        let mut complaints: Vec<String> = others.map(|(name, _)| format!("{name} was made again")).collect();
        if seen.len() != 5 {
            complaints.push(format!("four volumes and the credentials were expected: {:?}", seen.keys()));
        }
        complaints
    }
}

impl Drop for Keepsakes {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

fn notes<K: Child + Send + Sync + 'static>(
    scene: &Scene,
    which: watcher::Config,
    seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    content: fn(&K) -> String,
) -> impl Future<Output = ()> + use<K> {
    let found = watcher(scene.api::<K>(), which).default_backoff().applied_objects();
    // An error is followed by a new watch.
    found.filter_map(|object| async { object.ok() }).for_each(move |object| {
        let version = format!("{:?} {}", object.uid(), content(&object));
        let mut seen = seen.lock().expect("no panic while noting");
        seen.entry(object.name_any()).or_default().insert(version);
        async {}
    })
}
