//! Operators that leave, frozen or asked to, while another one takes over, as the programs that they are.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use shopkeeper_operator::crd::{Shop, ShopStatus};
use shopkeeper_testing::{Audit, SHOP, Scene};
use tokio::time::{sleep, timeout};

use crate::program::{self, Program};
use crate::scene::{server, with_scene};

/// What who stands for election writes, whether it is granted or not.
const ELECTION: &str = " leases";
/// What it writes when it is in the middle of an edit: there is more to come, at the least what it says of it.
const AT_WORK: &str = "patch deployments";
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[tokio::test]
async fn an_operator_that_was_frozen_while_another_one_took_over_writes_nothing_and_ends() {
    with_scene(async |scene, _kubelet| {
        let server = server().await;
        let [first, second] = server.operator_kubeconfigs();
        let [mut of_first, mut of_second] = server.audits();
        let mut frozen = start(first, &scene);
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        scene.until_shop("Ready", "True", None).await;

        of_first.news().expect("the audit log");
        scene.edit(&json!({"services": {"docs": {"logLevel": "debug"}}})).await.expect("an edit");
        timeout(PATIENCE, until_noted(&mut of_first, AT_WORK)).await.expect("it sees to the edit");
        frozen.signal("STOP");
        let _successor = start(second, &scene);
        scene.edit(&json!({"services": {"cart": {"replicas": 2}}})).await.expect("an edit");
        let grown = |found: Option<&Deployment>| found.and_then(|found| found.spec.as_ref()?.replicas) == Some(2);
        scene.until("acorn-cart", "has two pods", grown).await;
        scene.until_shop("Ready", "True", None).await;

        // What was on its way when it was frozen has long been noted.
        of_first.news().expect("the audit log");
        frozen.signal("CONT");
        let ended = timeout(PATIENCE, frozen.end()).await.expect("it goes on as if it led");
        assert!(!ended, "it was not asked to end");
        let mut written = of_first.news().expect("the audit log");
        written.retain(|write| !write.ends_with(ELECTION));
        assert_eq!(written, Vec::<String>::new());
        assert!(of_second.news().expect("the audit log").iter().any(|write| !write.ends_with(ELECTION)));
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_is_asked_to_stop_ends_content_and_another_one_follows() {
    with_scene(async |scene, _kubelet| {
        let server = server().await;
        let mut first = start(server.kubeconfig(), &scene);
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");
        let begun = |shop: Option<&Shop>| shop.and_then(|shop| shop.status.as_ref()).is_some_and(ShopStatus::is_seen);
        scene.until(SHOP, "was looked at", begun).await;
        first.signal("TERM");
        assert!(timeout(PATIENCE, first.end()).await.expect("it goes on"), "it ended as if something were wrong");
        let lease: Lease =
            Api::default_namespaced(scene.client.clone()).get(&scene.namespace).await.expect("the Lease");
        assert_eq!(lease.spec.and_then(|spec| spec.holder_identity), None, "nobody holds what was given up");
        let _second = start(server.kubeconfig(), &scene);
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

/// Waits until a write is noted.
async fn until_noted(audit: &mut Audit, write: &str) {
    while !audit.news().expect("the audit log").iter().any(|noted| noted == write) {
        sleep(LOOK_EVERY).await;
    }
}

/// Starts an operator of the scene's namespace.
fn start(kubeconfig: &Path, scene: &Scene) -> Program {
    let mut call = program::call(kubeconfig);
    call.env("SHOPKEEPER_LISTEN", "127.0.0.1:0").env("SHOPKEEPER_WATCH_NAMESPACES", &scene.namespace);
    // One for each test: all of them lie in the namespace of the kubeconfig.
    Program::start(call.env("SHOPKEEPER_LEASE", &scene.namespace))
}
