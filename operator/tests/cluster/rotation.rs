//! All passwords and keys of a Shop are replaced while people buy.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::names::ROTATE_ANNOTATION;
use shopkeeper_testing::{SHOP, Scene};

use crate::chance::is_deep;
use crate::logins::Logins;
use crate::market::{self, Market};
use crate::scene::with_scene;

/// Everything that the auditor logs in with.
const ALL: [&str; 6] = ["order", "payment", "delivery", "product", "amqp", "redis"];

#[tokio::test]
async fn a_rotation_replaces_all_credentials_without_a_refused_request_and_ends_the_old_ones() {
    with_scene(async |scene| {
        scene.create(&market::spec(&scene, &json!({}))).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let mut market = Market::open(&scene).await;
        let (old, tokens) = (Logins::of(&scene).await, market.log_in().await);

        let moved = async {
            ask(&scene).await;
            arrives_at(&scene, "Publishing").await;
            assert_eq!(old.taken(&scene).await, ALL);
            // The operator's own pause is what is tried here: every pod has to know what is coming by then.
            arrives_at(&scene, "Moving").await;
            assert_eq!(old.taken(&scene).await, ALL, "somebody may still use them");
        };
        Box::pin(market.during(moved)).await;
        market.log_in().await;
        let closed = async {
            if !is_deep() {
                its_time_is_over(&scene).await;
            }
            arrives_at(&scene, "Closing").await;
        };
        Box::pin(market.during(closed)).await;
        let nothing: [&str; 0] = [];
        assert_eq!(old.taken(&scene).await, nothing, "old log-ins are good for ever");

        market.log_in().await;
        let settled = async {
            // The last tokens of the old key would run out in a quarter of an hour; everybody has a newer one.
            its_time_is_over(&scene).await;
            scene.until_shop("CredentialsSettled", "True", None).await;
            scene.until_shop("Ready", "True", None).await;
            files_are_swapped(&scene, "order").await;
        };
        Box::pin(market.during(settled)).await;
        for token in tokens {
            market.until_unknown(&token).await;
        }
        market.audit(&scene).await;
        drop(operator);
    })
    .await;
}

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
    const STATE: &str = "rotation.json";
    let api = scene.api::<Secret>();
    loop {
        let mut secret = api.get("acorn-credentials").await.expect("the credentials");
        let data = secret.data.as_mut().expect("data");
        let mut state: Value = serde_json::from_slice(&data[STATE].0).expect("JSON");
        state["since"] = json!((Timestamp::now() - SignedDuration::from_hours(1)).to_string());
        data.insert(STATE.to_owned(), ByteString(state.to_string().into_bytes()));
        match api.replace("acorn-credentials", &PostParams::default(), &secret).await {
            // The operator was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            outcome => break drop(outcome.expect("an edit")),
        }
    }
    // Secrets are not watched.
    annotate(scene, "shopkeeper.dev/test").await;
}

/// A kubelet swaps files when it looks at a pod: every minute or so, and when the pod is changed.
async fn files_are_swapped(scene: &Scene, component: &str) {
    for pod in scene.pods(component).await {
        let change = json!({"metadata": {"annotations": {"shopkeeper.dev/test": "now"}}});
        scene.api::<Pod>().patch(&pod, &PatchParams::default(), &Patch::Merge(change)).await.expect("an edit");
    }
}

async fn annotate(scene: &Scene, annotation: &str) {
    let change = json!({"metadata": {"annotations": {annotation: Timestamp::now().to_string()}}});
    scene.api::<Shop>().patch(SHOP, &PatchParams::default(), &Patch::Merge(change)).await.expect("an edit");
}
