//! A scene on the cluster that runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, Config, CustomResourceExt, ResourceExt};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::settings::{OPERATOR_SELECTOR, Settings};
use shopkeeper_testing::Scene;
use shopkeeper_testing::rotation::Values;

/// A whole Shop is ready within this time, image pulls included, while another one starts beside it.
const PATIENCE: Duration = Duration::from_mins(10);

/// Runs a test in a namespace of its own, shows what was there if it fails, and removes the namespace.
pub async fn with_scene<F: Future<Output = ()>>(test: impl FnOnce(Arc<Scene>) -> F) {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "this test needs a cluster: run `cargo xtask test`, or `cargo xtask up` and set what `cargo xtask env` prints"
    );
    // A second call answers with an error, and the provider is there.
    rustls::crypto::ring::default_provider().install_default().ok();
    let config = Config::infer().await.expect("KUBECONFIG names a cluster");
    let client = Client::try_from(config.clone()).expect("a client");
    require_crd(&client).await;
    let settings = settings(&client).await;
    Scene::new(config, settings, PATIENCE).await.expect("a namespace").play(test).await;
}

/// The Shop's credentials as they are now.
pub async fn credentials(scene: &Scene) -> Values {
    let secret: Secret = scene.api().get("acorn-credentials").await.expect("the credentials");
    secret.data.expect("data")
}

/// The claims and which they are.
pub async fn volumes(scene: &Scene) -> BTreeMap<String, Option<String>> {
    let claims = scene.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("a list").items;
    claims.iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}

/// The settings of the operator that is deployed on the cluster, because they name images that the cluster has. Without one,
/// those of the environment.
async fn settings(client: &Client) -> Settings {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let found = deployments.list(&ListParams::default().labels(OPERATOR_SELECTOR)).await.expect("a list");
    let operator = found.items.into_iter().next().unwrap_or_default();
    Settings::of(&operator).expect("settings that an operator runs with")
}

/// The chart owns the definition of the Shop resource; installing it here would take it away from Helm.
async fn require_crd(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = api.get_opt(&Shop::crd().name_any()).await.expect("the API server");
    assert!(found.is_some(), "the Shop resource is missing: run `cargo xtask up`, or install charts/shopkeeper-crds");
}
