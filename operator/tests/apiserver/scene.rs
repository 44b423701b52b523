//! A scene on the API server that all tests share.

use std::fmt::Debug;
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shopkeeper_operator::observe::Child;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::{ApiServer, Kubelet, Scene, rights};
use tokio::sync::OnceCell;

/// What is expected of lines that tell what is wrong, or what was written.
pub const NOTHING: [String; 0] = [];
/// It ends with the process.
static SERVER: OnceCell<ApiServer> = OnceCell::const_new();

/// The API server; the first to ask starts it.
pub async fn server() -> &'static ApiServer {
    SERVER.get_or_try_init(ApiServer::start).await.expect("an API server")
}

/// How it is reached.
pub async fn config() -> Config {
    server().await.config().await.expect("its kubeconfig")
}

/// Runs a test in a namespace of its own, in which pods claim to run and operators have the rights that the chart gives; shows what was there if it fails.
pub async fn with_scene<F: Future>(test: impl FnOnce(Arc<Scene>, Kubelet) -> F) -> F::Output {
    let config = config().await;
    // What it reports is none of the writes that tests look at.
    let client = Client::try_from(config.clone()).expect("a client");
    let operators = rights::of_operator(config.clone());
    let scene = Scene::with_operators(config, operators, Settings::default()).await.expect("a namespace");
    let kubelet = Kubelet::start(&client, Some(&scene.namespace));
    scene.play(|scene| test(scene, kubelet)).await
}

/// Makes a Shop, and leaves it alone when it is ready and all was said about it.
pub async fn ready(scene: &Scene, spec: &Value) {
    scene.create(spec).await.expect("a Shop");
    let operator = scene.operate();
    scene.until_shop("Ready", "True", None).await;
    drop(operator);
    scene.writes_of_a_reconcile().await;
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
