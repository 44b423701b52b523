//! The operator as it is installed on a cluster, by Helm and by `install.yaml`: it comes, changes, goes and comes back while a
//! Shop lives on and people buy there.

use std::collections::BTreeSet;
use std::process::Command;
use std::{env, fs};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use shopkeeper_testing::Scene;

use crate::market::{self, Market};
use crate::packed;
use crate::programs::{output, run};
use crate::scene::{volumes, with_scene};
use crate::standby::each_operator_is_followed_by_the_other;

const RELEASE: &str = "trial";
/// Where `install.yaml` puts the operator.
const NAMESPACE: &str = "shopkeeper-system";
/// What of it is the cluster's, is there already, and serves other tests too.
const OF_THE_CLUSTER: [&str; 4] =
    ["Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];

#[tokio::test]
async fn operators_are_upgraded_removed_installed_again_and_followed_by_others_and_nobody_who_buys_notices() {
    with_scene(async |scene| {
        let release = Release(&scene);
        release.apply("logLevel=info").await;
        release.test().await;
        packed::helm_waits_for_the_shop(&scene, &market::spec(&scene, &json!({}))).await;
        let mut market = Market::open(&scene).await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new());
        let (first_pods, first_volumes) = (pods(&scene).await, volumes(&scene).await);

        let upgraded = async {
            release.apply("logLevel=debug").await;
            release.test().await;
            looked_at(&scene, "2160h").await;
        };
        Box::pin(market.during(upgraded)).await;
        assert_eq!(pods(&scene).await, first_pods, "a new operator restarted what nobody changed");

        Box::pin(market.during(release.remove())).await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new(), "there is no operator");
        assert_eq!(volumes(&scene).await, first_volumes);
        assert_eq!(pods(&scene).await, first_pods, "pods went with the operator");

        let back = async {
            release.apply("replicas=2").await;
            looked_at(&scene, "2161h").await;
            Box::pin(each_operator_is_followed_by_the_other(&scene, &format!("{RELEASE}-operator"))).await;
        };
        Box::pin(market.during(back)).await;
        assert_eq!(pods(&scene).await, first_pods, "an operator that followed restarted what nobody changed");
        release.remove().await;
        let file = InstallYaml::of(&scene);
        let taken_over = async {
            file.apply().await;
            looked_at(&scene, "2162h").await;
        };
        Box::pin(market.during(taken_over)).await;
        assert_eq!(pods(&scene).await, first_pods, "the next operator restarted what it took over");

        Box::pin(market.during(a_change_is_carried_out(&scene))).await;
        assert_eq!(volumes(&scene).await, first_volumes);
        market.audit(&scene).await;
    })
    .await;
}

/// Changes what no pod knows of, and waits until the operator that is installed has seen to it.
async fn looked_at(scene: &Scene, max_age: &str) {
    scene.edit(&json!({"credentials": {"maxAge": max_age}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
}

async fn a_change_is_carried_out(scene: &Scene) {
    let before = scene.pods("docs").await;
    scene.edit(&json!({"services": {"docs": {"logLevel": "debug"}}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    assert!(scene.pods("docs").await.is_disjoint(&before), "the pods are those of before");
}

/// The Shop's pods, and how often something in them was started.
async fn pods(scene: &Scene) -> BTreeSet<(String, Option<String>, i32)> {
    let running = ListParams::default().labels("app.kubernetes.io/instance=acorn").fields("status.phase=Running");
    let found = scene.api::<Pod>().list(&running).await.expect("a list").items;
    let restarts = |pod: &Pod| {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.map(|container| container.restart_count).sum()
    };
    found.iter().map(|pod| (pod.name_any(), pod.uid(), restarts(pod))).collect()
}

/// The chart as a release in the scene's namespace, for Shops of that namespace. Dropped, it is uninstalled: what it has
/// outside the namespace would stay otherwise.
struct Release<'a>(&'a Scene);

impl Release<'_> {
    /// Installs or upgrades, and waits until the operator is ready.
    async fn apply(&self, setting: &str) {
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
        let mut arguments = vec!["upgrade", "--install", RELEASE, chart, "--wait", "--timeout", "5m"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        self.helm(&arguments).await;
    }

    /// Lets the chart's own test look at it.
    async fn test(&self) {
        self.helm(&["test", RELEASE, "--timeout", "5m"]).await;
    }

    async fn remove(&self) {
        self.helm(&["uninstall", RELEASE, "--wait"]).await;
    }

    async fn helm(&self, arguments: &[&str]) {
        run("helm", &[arguments, &["--namespace", &self.0.namespace]].concat(), "").await;
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let arguments = ["uninstall", RELEASE, "--ignore-not-found", "--wait", "--namespace", &self.0.namespace];
        let _ = Command::new("helm").args(arguments).output();
    }
}

/// The file for those who do not use Helm, edited for the scene. Dropped, its objects are deleted.
struct InstallYaml {
    objects: String,
    namespace: String,
}

impl InstallYaml {
    fn of(scene: &Scene) -> Self {
        let file = env::var_os("SHOP_TEST_INSTALL").expect("SHOP_TEST_INSTALL is not set: run `cargo xtask test`");
        let text = fs::read_to_string(file).expect("install.yaml").replace(NAMESPACE, &scene.namespace);
        let mut objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        objects.retain(|object| object["kind"].as_str().is_some_and(|kind| !OF_THE_CLUSTER.contains(&kind)));
        let operator = objects.iter_mut().find(|object| object["kind"] == "Deployment").expect("the operator");
        set_up(&mut operator["spec"]["template"]["spec"]["containers"][0], scene);
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        Self { objects, namespace: scene.namespace.clone() }
    }

    /// Applies it, and waits until the operator is ready.
    async fn apply(&self) {
        run("kubectl", &["apply", "--server-side", "-f", "-"], &self.objects).await;
        let deployment = ["rollout", "status", "deployment/shopkeeper-operator", "--timeout=5m", "--namespace"];
        run("kubectl", &[&deployment[..], &[&self.namespace]].concat(), "").await;
    }
}

impl Drop for InstallYaml {
    fn drop(&mut self) {
        let _ = output("kubectl", &["delete", "--ignore-not-found", "--wait=false", "-f", "-"], &self.objects);
    }
}

/// Only Shops of the scene's namespace, and the images that the cluster has.
fn set_up(container: &mut Value, scene: &Scene) {
    let settings = &scene.settings;
    container["image"] = json!(format!("{}/operator:{}", settings.image_registry, settings.version));
    container["imagePullPolicy"] = json!(settings.image_pull_policy.as_str());
    let values = [
        ("WATCH_NAMESPACES", scene.namespace.as_str()),
        ("IMAGE_REGISTRY", &settings.image_registry),
        ("VERSION", &settings.version),
        ("IMAGE_PULL_POLICY", settings.image_pull_policy.as_str()),
        ("POSTGRES_IMAGE", &settings.postgres_image),
        ("MONGODB_IMAGE", &settings.mongodb_image),
        ("REDIS_IMAGE", &settings.redis_image),
        ("RABBITMQ_IMAGE", &settings.rabbitmq_image),
        ("TRACES_IMAGE", &settings.traces_image),
    ];
    for (name, value) in values {
        let variables = container["env"].as_array_mut().expect("variables");
        let variable = variables.iter_mut().find(|variable| variable["name"] == format!("SHOPKEEPER_{name}"));
        variable.unwrap_or_else(|| panic!("the operator is not told its {name}"))["value"] = json!(value);
    }
}
