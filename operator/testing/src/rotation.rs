//! The stages in which a Shop's credentials are replaced, and how a test gets through them sooner.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::names::ROTATE_ANNOTATION;

use crate::{SHOP, Scene};

const CREDENTIALS: &str = "acorn-credentials";
/// Where the stage is kept, beside the values.
const STATE: &str = "rotation.json";

/// Asks for new credentials.
pub async fn ask(scene: &Scene) {
    annotate(scene, ROTATE_ANNOTATION).await;
}

/// Waits until a stage has begun, and all of it is done.
pub async fn arrives_at(scene: &Scene, stage: &str) {
    scene.until_shop("CredentialsSettled", "False", Some(stage)).await;
    scene.until_shop("Ready", "True", None).await;
}

/// The present stage has lasted for as long as it must.
pub async fn its_time_is_over(scene: &Scene) {
    let api = scene.api::<Secret>();
    loop {
        let mut secret = api.get(CREDENTIALS).await.expect("the credentials");
        let mut state = state(&secret);
        state["since"] = json!((Timestamp::now() - SignedDuration::from_hours(1)).to_string());
        state["applied"] = json!(true);
        let text = ByteString(state.to_string().into_bytes());
        secret.data.as_mut().expect("data").insert(STATE.to_owned(), text);
        match api.replace(CREDENTIALS, &PostParams::default(), &secret).await {
            // The operator was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            outcome => break drop(outcome.expect("an edit")),
        }
    }
    // Secrets are not watched.
    annotate(scene, "shopkeeper.dev/test").await;
}

/// The number of the generation in use.
pub async fn generation(scene: &Scene) -> u64 {
    let secret = scene.api::<Secret>().get(CREDENTIALS).await.expect("the credentials");
    state(&secret)["generation"].as_u64().expect("a number")
}

fn state(secret: &Secret) -> Value {
    serde_json::from_slice(&secret.data.as_ref().expect("data")[STATE].0).expect("JSON")
}

async fn annotate(scene: &Scene, annotation: &str) {
    let change = json!({"metadata": {"annotations": {annotation: Timestamp::now().to_string()}}});
    scene.api::<Shop>().patch(SHOP, &PatchParams::default(), &Patch::Merge(change)).await.expect("an edit");
}
