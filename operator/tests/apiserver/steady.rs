//! A Shop that is ready, what somebody changes about it, and what the operator writes then.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::Scene;

/// What is expected of lines that tell what is wrong, or what was written.
pub const NOTHING: [String; 0] = [];

/// Makes a Shop, and leaves it alone when it is ready and all was said about it.
pub async fn ready(scene: &Scene, spec: &Value) {
    scene.create(spec).await.expect("a Shop");
    let operator = scene.operate();
    scene.until_shop("Ready", "True", None).await;
    drop(operator);
    scene.writes_of_a_reconcile().await;
}

/// Makes a name that the Shop needs somebody else's: from now on the Shop is blocked.
pub async fn block(scene: &Scene) {
    let api = scene.api::<ServiceAccount>();
    api.delete("acorn-docs", &DeleteParams::default()).await.expect("a deletion");
    let theirs: ServiceAccount =
        serde_json::from_value(json!({"metadata": {"name": "acorn-docs"}})).expect("a ServiceAccount");
    api.create(&PostParams::default(), &theirs).await.expect("a ServiceAccount");
}

/// What a reconcile writes, without what only tells about it.
pub async fn repairs(scene: &Scene) -> Vec<String> {
    let mut writes = scene.writes_of_a_reconcile().await;
    writes.retain(|line| !["/status", "/events"].iter().any(|report| line.ends_with(report)));
    writes
}

/// Changes an object as somebody with kubectl.
pub async fn edit<K: Child>(scene: &Scene, name: &str, change: Value) {
    edit_by(&scene.api::<K>(), name, change).await;
}

/// The same where the kind is only known when the test runs.
pub async fn edit_by<K: Clone + Debug + DeserializeOwned>(api: &Api<K>, name: &str, change: Value) {
    let params = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    let edited = api.patch(name, &params, &Patch::Merge(change)).await;
    edited.unwrap_or_else(|error| panic!("editing {name}: {error}"));
}
