//! There and back: a Shop with an operator gets other values, comes to rest with them, and gets its own ones again.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use shopkeeper_operator::crd::{Phase, Shop};
use shopkeeper_testing::schema::{self, Field, Schema};
use shopkeeper_testing::{SHOP, Scene};

use super::objects;
use crate::snapshot::{Snapshot, differences_now, left_behind, snapshot};

/// Fields beside which nothing of the others would show.
const ALONE: [&str; 1] = ["lifecycle.hibernated"];
/// What the Shop says when nothing of it was applied.
const REFUSALS: [&str; 2] = ["ApplyFailed", "Invalid"];
/// What it says of a Gateway, of which nobody here takes a route: the Ingress stays as it was.
const UNOPENED: [&str; 2] = ["GatewayAPIMissing", "GatewayNotReady"];

/// Another value for a field of the Shop.
pub struct Change {
    field: String,
    there: Value,
    back: Value,
}

impl Change {
    /// The first value that the Shop, which was made of a spec, may change to.
    pub async fn of(scene: &Scene, schema: &Schema, field: &Field, spec: &Value) -> Option<Self> {
        let (held, made) = {
            let now = scene.shop().await;
            (json!(now.spec), objects(&now))
        };
        let mut unseen = None;
        for value in field.candidates() {
            for pick in 0..schema::PICKS {
                let there = schema.patch(field, &value, pick);
                // A value that is no other one is the one that the field has.
                let tried = tried(scene, &there).await.ok().filter(|shop| json!(shop.spec) != held);
                let Some(shop) = tried else { continue };
                let change = Self { field: field.to_string(), there, back: Schema::without(field, spec) };
                if objects(&shop) != made {
                    return Some(change);
                }
                // It says what holds anyway, or it shows in what only a cluster knows.
                unseen.get_or_insert(change);
            }
        }
        unseen
    }

    fn is_alone(&self) -> bool {
        ALONE.contains(&self.field.as_str())
    }
}

/// Asks whether the Shop's spec could be changed.
async fn tried(scene: &Scene, change: &Value) -> kube::Result<Shop> {
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    scene.api().patch(SHOP, &params, &Patch::Merge(json!({ "spec": change }))).await
}

/// Puts changes together that do not exclude each other, so many at most.
pub async fn rounds(scene: &Scene, changes: Vec<Change>, most: usize) -> Vec<Vec<Change>> {
    let mut rounds: Vec<Vec<Change>> = Vec::new();
    'changes: for change in changes {
        for round in &mut rounds {
            if round.len() < most && go_together(scene, round, &change).await {
                round.push(change);
                continue 'changes;
            }
        }
        rounds.push(vec![change]);
    }
    rounds
}

async fn go_together(scene: &Scene, round: &[Change], one: &Change) -> bool {
    if one.is_alone() || round.iter().any(Change::is_alone) {
        return false;
    }
    let all = together(round.iter().chain([one]).map(|change| &change.there));
    let kept = round.iter().chain([one]).all(|change| holds(&all, &change.there));
    kept && tried(scene, &all).await.is_ok()
}

/// One change out of several.
fn together<'a>(changes: impl Iterator<Item = &'a Value>) -> Value {
    let mut all = json!({});
    changes.for_each(|change| merge(&mut all, change));
    all
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            change.iter().for_each(|(key, value)| merge(into.entry(key.clone()).or_insert(Value::Null), value));
        }
        (into, change) => *into = change.clone(),
    }
}

/// Whether nothing of a part was overwritten.
fn holds(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            part.iter().all(|(key, part)| all.get(key).is_some_and(|all| holds(all, part)))
        }
        _ => all == part,
    }
}

/// Gives the Shop other values, waits until it has come to rest with them, and takes them back: everything is as it was `before`.
/// Answers with the fields whose values were not applied.
pub async fn there_and_back(scene: &Scene, before: &Snapshot, mut round: Vec<Change>) -> Vec<String> {
    if Box::pin(travel(scene, before, &round)).await {
        return Vec::new();
    }
    if round.len() > 1 {
        // One of them kept all others from being applied.
        let mut refused = Vec::new();
        for change in round {
            if !Box::pin(travel(scene, before, std::slice::from_ref(&change))).await {
                refused.push(change);
            }
        }
        round = refused;
    }
    round.into_iter().map(|change| change.field).collect()
}

/// Gives the Shop other values for fields from which nothing leads back: those are applied, and the way back is refused.
pub async fn only_there(scene: &Scene, before: &Snapshot, round: &[Change]) {
    let applied = Box::pin(arrive(scene, before, round)).await;
    assert!(applied, "{:?} are not applied", names(round));
    scene.until_shop("Ready", "True", None).await;
    for change in round {
        let refusal = match scene.edit(&change.back).await {
            Err(kube::Error::Api(status)) if status.code == 422 => status.message,
            outcome => panic!("{}: the way back was not refused: {outcome:?}", change.field),
        };
        assert!(refusal.contains("can only grow"), "{}: {refusal}", change.field);
    }
}

/// Answers like [`arrive`].
async fn travel(scene: &Scene, before: &Snapshot, round: &[Change]) -> bool {
    let applied = Box::pin(arrive(scene, before, round)).await;
    scene.edit(&together(round.iter().map(|change| &change.back))).await.expect("the way back");
    scene.until_shop("Ready", "True", None).await;
    let left = left_behind(scene, before).await;
    assert!(left.is_empty(), "{:?} leave behind {left:?} (SHOP_TEST_DEEP=1 takes each field alone)", names(round));
    applied
}

/// Answers whether the other values were applied, which shows in objects, or the Shop only said what is wrong with them.
async fn arrive(scene: &Scene, before: &Snapshot, round: &[Change]) -> bool {
    let fields = names(round);
    let there = together(round.iter().map(|change| &change.there));
    println!("there and back: {fields:?}");
    scene.edit(&there).await.expect("another value");
    let shop = scene.until::<Shop>(SHOP, &format!("comes to rest with {there}"), is_at_rest).await.expect("the Shop");
    let applied = !REFUSALS.iter().any(|reason| says(&shop, "Ready", "False", Some(reason)));
    let changed = !differences_now(before, &snapshot(scene).await).is_empty();
    let unopened = UNOPENED.iter().any(|reason| says(&shop, "RouteReady", "False", Some(reason)));
    assert!(changed || unopened || !applied, "{fields:?} are applied and change nothing");
    applied
}

fn names(round: &[Change]) -> Vec<&str> {
    round.iter().map(|change| change.field.as_str()).collect()
}

/// Whether the operator has nothing left to do, whether or not all is well.
fn is_at_rest(shop: Option<&Shop>) -> bool {
    let Some(shop) = shop else { return false };
    let current = shop.status.as_ref().filter(|status| status.observed_generation == shop.metadata.generation);
    match current.and_then(|status| status.phase) {
        None | Some(Phase::Preparing | Phase::Migrating) => false,
        // Nobody here runs a Gateway that would take a route.
        Some(Phase::RollingOut) => says(shop, "ServicesReady", "True", None),
        Some(Phase::Hibernated) => says(shop, "Progressing", "False", None),
        Some(Phase::Blocked | Phase::Ready | Phase::Paused) => true,
    }
}

fn says(shop: &Shop, type_: &str, status: &str, reason: Option<&str>) -> bool {
    let mut conditions = shop.status.iter().flat_map(|status| &status.conditions);
    conditions.any(|c| c.type_ == type_ && c.status == status && reason.is_none_or(|reason| c.reason == reason))
}
