//! What must never be lost or made again: volumes, and the credentials that open them. Other Secrets only go where they go
//! without a fault too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::Scene;
use shopkeeper_testing::rotation::{self, Values};
use tokio::task::JoinSet;

const CREDENTIALS: &str = "acorn-credentials";

/// What a test has seen of them.
pub struct Keepsakes {
    seen: Arc<Mutex<Seen>>,
    _watches: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// Each volume, and the credentials, with all that had its name.
    kept: BTreeMap<String, BTreeSet<Option<String>>>,
    /// Names of everything that was deleted.
    deleted: BTreeSet<String>,
    /// The versions of the credentials in their order.
    credentials: Vec<Values>,
}

impl Keepsakes {
    pub fn watch(scene: &Scene) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let mut watches = JoinSet::new();
        watches.spawn(follow(scene, seen.clone(), |seen: &mut Seen, volume: &PersistentVolumeClaim| {
            seen.kept.entry(volume.name_any()).or_default().insert(volume.uid());
        }));
        watches.spawn(follow(scene, seen.clone(), |seen: &mut Seen, secret: &Secret| {
            if secret.name_any() == CREDENTIALS {
                seen.kept.entry(secret.name_any()).or_default().insert(secret.uid());
                seen.credentials.extend(secret.data.clone());
            }
        }));
        Self { seen, _watches: watches }
    }

    /// Names of what was deleted.
    pub fn deleted(&self) -> BTreeSet<String> {
        self.seen.lock().expect("no panic while noting").deleted.clone()
    }

    /// What is wrong where credentials were to be replaced so many times.
    pub fn complaints(&self, rotations: u64) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic while noting");
        let again = seen.kept.iter().filter(|(_, versions)| versions.len() > 1);
        let mut complaints: Vec<String> = again.map(|(name, _)| format!("{name} was made again")).collect();
        let gone = seen.kept.keys().filter(|name| seen.deleted.contains(*name));
        complaints.extend(gone.map(|name| format!("{name} was deleted")));
        if seen.kept.len() != 5 {
            complaints.push(format!("four volumes and the credentials were expected: {:?}", seen.kept.keys()));
        }
        let turns = seen.credentials.iter().zip(seen.credentials.iter().skip(1));
        complaints.extend(turns.filter_map(|(before, after)| rotation::misstep(before, after)));
        let standing = seen.credentials.last().map(rotation::standing);
        if standing != Some((rotations, "Settled".to_owned())) {
            complaints.push(format!("credentials of generation {rotations} were expected: {standing:?}"));
        }
        complaints
    }
}

/// Notes everything that happens to the objects of a kind.
fn follow<K: Child + Send + Sync + 'static>(
    scene: &Scene,
    seen: Arc<Mutex<Seen>>,
    note: fn(&mut Seen, &K),
) -> impl Future<Output = ()> + use<K> {
    let events = watcher(scene.api::<K>(), watcher::Config::default()).default_backoff();
    events.for_each(move |event| {
        let mut seen = seen.lock().expect("no panic while noting");
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => note(&mut seen, &object),
            Ok(Event::Delete(object)) => {
                seen.deleted.insert(object.name_any());
            }
            // An error is followed by a new watch.
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
        async {}
    })
}
