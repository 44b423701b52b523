//! The chart on a cluster: installed, tested, upgraded and removed while a Shop lives on.

use std::process::Command;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use serde_json::json;

use shopkeeper_testing::Scene;

use crate::scene::with_scene;

const RELEASE: &str = "trial";

/// The chart as a release in the scene's namespace, for Shops of that namespace. Dropped, it is uninstalled: what it has
/// outside the namespace would stay otherwise.
struct Release<'a>(&'a Scene);

impl Release<'_> {
    fn helm(&self, arguments: &[&str]) {
        let mut helm = Command::new("helm");
        helm.args(arguments).args(["--namespace", &self.0.namespace]);
        let output = helm.output().expect("helm is on the PATH: `cargo xtask env` names it");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&said));
    }

    /// Installs or upgrades, and waits until the operator is ready.
    fn apply(&self, setting: &str) {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/shopkeeper");
        let settings = &self.0.settings;
        let values = [
            format!("watchNamespaces={{{}}}", self.0.namespace),
            format!("image.registry={}", settings.image_registry),
            format!("image.tag={}", settings.version),
            format!("image.pullPolicy={}", settings.image_pull_policy.as_str()),
            format!("stores.postgres.image={}", settings.postgres_image),
            format!("stores.mongodb.image={}", settings.mongodb_image),
            format!("stores.redis.image={}", settings.redis_image),
            format!("stores.rabbitmq.image={}", settings.rabbitmq_image),
            format!("stores.traces.image={}", settings.traces_image),
            setting.to_owned(),
        ];
        let mut arguments = vec!["upgrade", "--install", RELEASE, chart, "--wait", "--timeout", "2m"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        self.helm(&arguments);
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let arguments = ["uninstall", RELEASE, "--ignore-not-found", "--wait", "--namespace", &self.0.namespace];
        let _ = Command::new("helm").args(arguments).output();
    }
}

/// Which process the Shop's database is.
async fn database(scene: &Scene) -> Option<String> {
    let pod = scene.until("acorn-postgres-0", "exists", |found: Option<&Pod>| found.is_some()).await;
    pod.and_then(|pod| pod.metadata.uid)
}

#[tokio::test]
async fn a_release_is_tested_upgraded_and_removed_and_the_shop_keeps_running_with_its_data() {
    with_scene(async |scene| {
        let release = Release(&scene);
        release.apply("logLevel=info");
        release.helm(&["test", RELEASE, "--timeout", "1m"]);
        let shop = scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let before = database(&scene).await;

        release.apply("logLevel=debug");
        release.helm(&["test", RELEASE, "--timeout", "1m"]);
        assert_eq!(database(&scene).await, before, "a new operator restarted a store");

        release.helm(&["uninstall", RELEASE, "--wait"]);
        let kept = scene.shop().await;
        assert_eq!((kept.metadata.uid, kept.metadata.deletion_timestamp), (shop.metadata.uid, None));
        scene.api::<Secret>().get("acorn-credentials").await.expect("the keys to the data");
        scene.api::<PersistentVolumeClaim>().get("data-acorn-postgres-0").await.expect("the data");
        assert_eq!(database(&scene).await, before, "the store stopped with the operator");
    })
    .await;
}
