//! The stages in which a Shop's credentials are replaced, how a test gets through them sooner, and what they may do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};
use shopkeeper_operator::names::ROTATE_ANNOTATION;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Scene;

const CREDENTIALS: &str = "acorn-credentials";
/// Where the stage is kept, beside the values.
const STATE: &str = "rotation.json";
/// No stage is over so soon.
const WELL_WITHIN_A_STAGE: Duration = Duration::from_secs(20);
/// Values that no rotation replaces.
pub const LASTING: [&str; 1] = ["first-admin"];

/// One version of the credentials.
pub type Values = BTreeMap<String, ByteString>;

/// Asks for new credentials.
pub async fn ask(scene: &Scene) {
    scene.annotate(ROTATE_ANNOTATION).await;
}

/// Replaces the credentials once, and gives no stage its time.
pub async fn rotate(scene: &Scene) {
    ask(scene).await;
    for stage in ["Publishing", "Moving", "Closing"] {
        arrives_at(scene, stage).await;
        its_time_is_over(scene).await;
    }
    scene.until_shop("CredentialsSettled", "True", None).await;
    scene.until_shop("Ready", "True", None).await;
}

/// Waits until a stage has begun, and all of it is done.
pub async fn arrives_at(scene: &Scene, stage: &str) {
    scene.until_shop("CredentialsSettled", "False", Some(stage)).await;
    scene.until_shop("Ready", "True", None).await;
}

/// The present stage has lasted for as long as it must, also for a process that allows for clocks that differ.
pub async fn its_time_is_over(scene: &Scene) {
    began(scene, Timestamp::now() - SignedDuration::from_hours(2)).await;
}

/// The present stage lasts until the guard is dropped, however slow the machine is.
#[must_use]
pub fn it_lasts(scene: &Arc<Scene>) -> Lasting {
    Lasting(tokio::spawn(begins_again_and_again(scene.clone())))
}

/// A stage that does not end until this is dropped.
#[derive(Debug)]
pub struct Lasting(JoinHandle<()>);

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn begins_again_and_again(scene: Arc<Scene>) {
    loop {
        it_begins(&scene).await;
        sleep(WELL_WITHIN_A_STAGE).await;
    }
}

/// The present stage begins now, and lasts for as long as the operator gives it.
pub async fn it_begins(scene: &Scene) {
    began(scene, Timestamp::now()).await;
}

async fn began(scene: &Scene, since: Timestamp) {
    let api = scene.api::<Secret>();
    loop {
        let mut secret = api.get(CREDENTIALS).await.expect("the credentials");
        let values = secret.data.as_mut().expect("data");
        let mut state = state(values);
        state["since"] = json!(since.to_string());
        state["applied"] = json!(true);
        values.insert(STATE.to_owned(), ByteString(state.to_string().into_bytes()));
        match api.replace(CREDENTIALS, &PostParams::default(), &secret).await {
            // The operator was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            outcome => break drop(outcome.expect("an edit")),
        }
    }
    // Secrets are not watched.
    scene.touch().await;
}

/// The number of the generation in use.
pub async fn generation(scene: &Scene) -> u64 {
    let secret = scene.api::<Secret>().get(CREDENTIALS).await.expect("the credentials");
    standing(&secret.data.expect("data")).0
}

/// The number of the generation in use, and the stage.
#[must_use]
pub fn standing(values: &Values) -> (u64, String) {
    let state = state(values);
    let stage = state["stage"].as_str().expect("a name").to_owned();
    (state["generation"].as_u64().expect("a number"), stage)
}

fn state(values: &Values) -> Value {
    serde_json::from_slice(&values[STATE].0).expect("JSON")
}

/// What is wrong with how one version of the credentials became the next; nothing when it is what a rotation does.
#[must_use]
pub fn misstep(before: &Values, after: &Values) -> Option<String> {
    let (from, to) = (standing(before), standing(after));
    let mut expected = before.clone();
    expected.insert(STATE.to_owned(), after[STATE].clone());
    for key in before.keys().filter(|key| is_rotated(key)) {
        let (coming, going) = (format!("{key}.next"), format!("{key}.previous"));
        match (from.1.as_str(), to.1.as_str(), to.0.checked_sub(from.0)) {
            ("Settled", "Publishing", Some(0)) => {
                expected.insert(coming.clone(), after.get(&coming).cloned().unwrap_or_default());
            }
            ("Publishing", "Moving", Some(1)) => {
                let value = expected.remove(&coming).unwrap_or_default();
                let old = expected.insert(key.clone(), value).unwrap_or_default();
                expected.insert(going, old);
            }
            ("Moving", "Closing", Some(0)) => {}
            ("Closing", "Settled", Some(0)) => drop(expected.remove(&going)),
            _ if from == to => {}
            _ => return Some(format!("credentials went from {from:?} to {to:?}")),
        }
    }
    let keys: BTreeSet<&String> = expected.keys().chain(after.keys()).collect();
    let other: Vec<_> = keys.into_iter().filter(|key| expected.get(*key) != after.get(*key)).collect();
    (!other.is_empty()).then(|| format!("on the way from {from:?} to {to:?} these are not as expected: {other:?}"))
}

fn is_rotated(key: &str) -> bool {
    let beside = [".next", ".previous"].iter().any(|mark| key.ends_with(mark));
    !beside && key != STATE && !LASTING.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(generation: u64, stage: &str, values: &[(&str, &str)]) -> Values {
        let state = json!({"generation": generation, "stage": stage}).to_string();
        let all = [(STATE, state.as_str()), ("first-admin", "a")].into_iter().chain(values.iter().copied());
        all.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn a_whole_rotation_is_no_misstep_and_any_other_change_is() {
        let stages = [
            values(0, "Settled", &[("redis.cart", "1")]),
            values(0, "Publishing", &[("redis.cart", "1"), ("redis.cart.next", "2")]),
            values(1, "Moving", &[("redis.cart", "2"), ("redis.cart.previous", "1")]),
            values(1, "Closing", &[("redis.cart", "2"), ("redis.cart.previous", "1")]),
            values(1, "Settled", &[("redis.cart", "2")]),
        ];
        for (number, before) in stages.iter().enumerate() {
            for (other, after) in stages.iter().enumerate() {
                let step = misstep(before, after);
                assert_eq!(step.is_none(), other == number || other == number + 1, "{number} to {other}: {step:?}");
            }
        }
        let [settled, publishing, moving, ..] = &stages;
        for wrong in [
            values(0, "Publishing", &[("redis.cart", "1")]),
            values(0, "Publishing", &[("redis.cart", "2"), ("redis.cart.next", "2")]),
            values(0, "Settled", &[("redis.cart", "2")]),
        ] {
            assert!(misstep(settled, &wrong).is_some());
        }
        let forgotten = values(1, "Moving", &[("redis.cart", "3"), ("redis.cart.previous", "1")]);
        assert!(misstep(publishing, &forgotten).is_some() && misstep(publishing, moving).is_none());
    }
}
