//! The chart of the Shop resource on an API server: what stays when it goes, and when a newer one comes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DeleteParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::{ApiServer, SHOP, Scene};
use tokio::time::{sleep, timeout};

use crate::folder::Folder;
use crate::helm::{project, read, text, yaml};
use crate::release::copy_charts;
use crate::scene::{server, with_scene};

const RELEASE: &str = "shopkeeper-crds";
/// The file of the chart with the definition.
const DEFINITION: &str = "templates/shops.shopkeeper.dev.yaml";
/// The rules of a field, of which the earlier chart lacks one, and what that one says.
const RULES: &str =
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/currency/x-kubernetes-validations";
const RULE: &str = "three capital letters";
/// An API server hears of a policy or a definition within so long.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn helm(server: &ApiServer, scene: &Scene, arguments: &[&str]) {
    let mut helm = Command::new("helm");
    helm.args(arguments).args(["--namespace", &scene.namespace, "--kubeconfig"]).arg(server.kubeconfig());
    let output = helm.output().expect("helm is on the PATH: `cargo xtask env` names it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// The chart of today.
fn chart() -> String {
    project().join("charts").join(RELEASE).to_string_lossy().into_owned()
}

/// Charts of an earlier version, which let a currency be any text.
fn earlier_charts() -> Folder {
    let folder = Folder::new("earlier");
    copy_charts(&folder.0);
    let chart = folder.0.join("charts").join(RELEASE);
    let about = read(&format!("charts/{RELEASE}/Chart.yaml")).replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(chart.join("Chart.yaml"), about).expect("a file");
    let mut definition = yaml(&read(&format!("charts/{RELEASE}/{DEFINITION}")));
    let rules = definition.pointer_mut(RULES).and_then(Value::as_array_mut).expect("rules");
    rules.retain(|rule| !text(&rule["message"]).contains(RULE));
    fs::write(chart.join(DEFINITION), definition.to_string()).expect("a file");
    folder
}

/// Leaves the API server as if it had never heard of Shops, of which there are none.
async fn forget_shops(client: Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let name = Shop::crd_name();
    let known = definitions.get(name).await.expect("the definition").uid().expect("a uid");
    definitions.delete(name, &DeleteParams::default()).await.expect("a deletion");
    let gone = await_condition(definitions, name, conditions::is_deleted(&known));
    timeout(PATIENCE, gone).await.expect("it stays").expect("a watch");
}

/// Waits until the API server takes any text for a currency, or refuses what is none.
async fn until_currencies_are(ruled: bool, scene: &Scene) {
    let known = async {
        loop {
            let asked = scene.create_named("other", &json!({"currency": "usd"}), true).await;
            let so = if ruled { asked.is_err_and(|error| error.to_string().contains(RULE)) } else { asked.is_ok() };
            if so {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, known).await.expect("the definition is known");
}

/// Whether somebody who deletes the Shop is told that it is protected.
async fn is_protected(scene: &Scene, params: DeleteParams) -> bool {
    let Err(refusal) = scene.api::<Shop>().delete(SHOP, &params).await else { return false };
    let words = refusal.to_string();
    assert!(words.contains("set spec.lifecycle.deletionProtection to false"), "{words}");
    true
}

#[tokio::test]
async fn shops_and_their_protection_outlive_the_chart_and_its_next_installation_takes_them_over() {
    with_scene(async |scene, _kubelet| {
        let (server, chart) = (server().await, chart());
        // This API server has known Shops from its start.
        helm(server, &scene, &["install", RELEASE, &chart, "--take-ownership"]);
        let protection = |wanted: bool| json!({"host": "acorn.test", "lifecycle": {"deletionProtection": wanted}});
        let shop = scene.create(&protection(true)).await.expect("a Shop");
        let known = async {
            while !is_protected(&scene, DeleteParams { dry_run: true, ..DeleteParams::default() }).await {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(PATIENCE, known).await.expect("the policy is known");

        helm(server, &scene, &["uninstall", RELEASE]);
        assert_eq!(scene.shop().await.uid(), shop.uid());
        assert!(is_protected(&scene, DeleteParams::default()).await, "the protection went with the chart");

        helm(server, &scene, &["install", RELEASE, &chart]);
        assert_eq!(scene.shop().await.uid(), shop.uid());
        assert!(is_protected(&scene, DeleteParams::default()).await);
        scene.edit(&protection(false)).await.expect("an edit");
        scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect("nothing protects it any more");
    })
    .await;
}

#[tokio::test]
async fn a_newer_chart_brings_its_rules_and_leaves_the_shops_that_are_there_as_they_are() {
    // One of its own: the others' tests read the definition meanwhile.
    let server = ApiServer::start().await.expect("an API server");
    let config = server.config().await.expect("its kubeconfig");
    let scene = Scene::with_operators(config.clone(), config, Settings::default()).await.expect("a namespace");
    forget_shops(scene.client.clone()).await;
    let earlier = earlier_charts();
    let chart_of_then = earlier.0.join("charts").join(RELEASE);
    helm(&server, &scene, &["install", RELEASE, &chart_of_then.to_string_lossy()]);
    until_currencies_are(false, &scene).await;
    let shop = scene.create(&json!({"host": "acorn.test", "currency": "EUR"})).await.expect("a Shop");

    helm(&server, &scene, &["upgrade", RELEASE, &chart()]);
    until_currencies_are(true, &scene).await;
    let kept = scene.shop().await;
    assert_eq!((kept.uid(), kept.spec), (shop.uid(), shop.spec));
}
