//! A scene on the API server that all tests share.

use std::sync::Arc;

use kube::{Client, Config};
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::{ApiServer, Kubelet, Scene, is_deep, rights};
use tokio::sync::OnceCell;

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

/// Runs a test in a namespace of its own, in which pods claim to run and operators have the rights that the chart gives; shows what
/// was there if it fails.
pub async fn with_scene<F: Future>(test: impl FnOnce(Arc<Scene>, Kubelet) -> F) -> F::Output {
    let config = config().await;
    // What it reports is none of the writes that tests look at.
    let client = Client::try_from(config.clone()).expect("a client");
    let operators = rights::of_operator(config.clone());
    let scene = Scene::with_operators(config, operators, Settings::default()).await.expect("a namespace");
    let kubelet = Kubelet::start(&client, Some(&scene.namespace));
    let test = |scene| test(scene, kubelet);
    // A deep run has hundreds of scenes, which would fill the API server's memory.
    if is_deep() { scene.play(test).await } else { scene.play_and_keep(test).await }
}
