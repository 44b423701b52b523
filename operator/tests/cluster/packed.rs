//! A Shop in somebody's chart. Helm waits for it by kstatus (sigs.k8s.io/cli-utils), as Flux and other tools do.

use std::fs;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{SHOP, Scene};

use crate::folder::Folder;
use crate::programs::{attempt, run};

/// The Shop is made by Helm, which waits until it is ready, and tells of a mistake that somebody has to correct.
pub async fn helm_waits_for_the_shop(scene: &Scene, spec: &Value) {
    let chart = Folder::new("chart");
    let path = chart.0.to_str().expect("a plain path");
    fs::create_dir(chart.0.join("templates")).expect("a folder");
    fs::write(chart.0.join("Chart.yaml"), "apiVersion: v2\nname: acorn\nversion: 0.1.0\n").expect("a file");
    let arguments =
        |timeout| ["upgrade", "--install", SHOP, path, "--wait", "--namespace", &scene.namespace, "--timeout", timeout];

    write(&chart, spec);
    run("helm", &arguments("10m"), "").await;
    assert!(is_ready(scene).await, "Helm did not wait");

    let mut mistaken = spec.clone();
    mistaken["ingress"] = json!({"className": "squirrel"});
    write(&chart, &mistaken);
    run("helm", &["upgrade", SHOP, path, "--namespace", &scene.namespace], "").await;
    scene.until_shop("Ready", "False", Some("NoSuchIngressClass")).await;
    // It waits for all of that also when somebody has to help.
    let said = attempt("helm", &arguments("30s"), "").await.expect_err("there is no such class");
    assert!(said.contains(&format!("name: {SHOP}, kind: Shop, status: Failed")), "{said}");

    write(&chart, spec);
    run("helm", &arguments("5m"), "").await;
    assert!(is_ready(scene).await, "Helm did not wait");
}

/// What is JSON is YAML too.
fn write(chart: &Folder, spec: &Value) {
    let shop = json!({
        "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": SHOP}, "spec": spec,
    });
    fs::write(chart.0.join("templates/shop.yaml"), shop.to_string()).expect("a file");
}

/// Whether the Shop is ready as it is now.
async fn is_ready(scene: &Scene) -> bool {
    let shop: Shop = scene.api().get(SHOP).await.expect("the Shop");
    let status = shop.status.unwrap_or_default();
    let told = |condition: &Condition| condition.type_ == "Ready" && condition.status == "True";
    status.observed_generation == shop.metadata.generation && status.conditions.iter().any(told)
}
