//! The chart of the Shop resource on an API server: what stays when it goes.

use std::process::Command;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{SHOP, Scene};
use tokio::time::{sleep, timeout};

use crate::helm::project;
use crate::scene::{server, with_scene};

const RELEASE: &str = "shopkeeper-crds";
/// An API server hears of a policy within so long.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

async fn helm(scene: &Scene, arguments: &[&str]) {
    let mut helm = Command::new("helm");
    helm.args(arguments).args(["--namespace", &scene.namespace, "--kubeconfig"]).arg(server().await.kubeconfig());
    let output = helm.output().expect("helm is on the PATH: `cargo xtask env` names it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&said));
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
        let chart = project().join("charts").join(RELEASE);
        let chart = chart.to_string_lossy();
        // This API server has known Shops from its start.
        helm(&scene, &["install", RELEASE, &chart, "--take-ownership"]).await;
        let protection = |wanted: bool| json!({"host": "acorn.test", "lifecycle": {"deletionProtection": wanted}});
        let shop = scene.create(&protection(true)).await.expect("a Shop");
        let known = async {
            while !is_protected(&scene, DeleteParams { dry_run: true, ..DeleteParams::default() }).await {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(PATIENCE, known).await.expect("the policy is known");

        helm(&scene, &["uninstall", RELEASE]).await;
        assert_eq!(scene.shop().await.uid(), shop.uid());
        assert!(is_protected(&scene, DeleteParams::default()).await, "the protection went with the chart");

        helm(&scene, &["install", RELEASE, &chart]).await;
        assert_eq!(scene.shop().await.uid(), shop.uid());
        assert!(is_protected(&scene, DeleteParams::default()).await);
        scene.edit(&protection(false)).await.expect("an edit");
        scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect("nothing protects it any more");
    })
    .await;
}
