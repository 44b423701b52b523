//! Canaries on a cluster: what buyers ask reaches them through a Gateway, and what came of it decides.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};
use shopkeeper_operator::crd::{CanaryPhase, CanaryStatus, Shop};
use shopkeeper_testing::Scene;

use crate::scene::with_scene;

/// The Gateway of the cluster (`dev/cluster/addons/gateway.yaml`), and its listener.
const GATEWAY: &str = "shops";
const GATEWAY_NAMESPACE: &str = "kube-system";
const LISTENER: &str = "web";
const PRODUCTS: &str = "/api/v1/products";

/// People who look at products all the time.
#[derive(Default)]
struct Visitors {
    answered: AtomicUsize,
    refused: AtomicUsize,
}

impl Visitors {
    async fn come(&self) {
        let gate = std::env::var("SHOP_URL").expect("SHOP_URL: `cargo xtask env` names it");
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
        loop {
            let request = Request::get(format!("{gate}{PRODUCTS}")).header(HOST, "acorn.test");
            let answer = client.request(request.body(Empty::new()).expect("a request")).await;
            let counter = match answer {
                Ok(answer) if answer.status() == StatusCode::OK => &self.answered,
                _ => &self.refused,
            };
            counter.fetch_add(1, Ordering::SeqCst);
            // A pace that two processors keep up with beside everything else.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.answered.load(Ordering::SeqCst), self.refused.load(Ordering::SeqCst))
    }
}

/// A canary of a service with the image of `image`.
fn canary(scene: &Scene, service: &str, image: &str, longest: &str) -> Value {
    let image = format!("{}/{image}:{}", scene.settings.image_registry, scene.settings.version);
    let analysis = json!({"interval": "10s", "minRequests": 20, "successRate": 90, "latencyP99": longest});
    json!({"services": {service: {"canary": {"image": image, "weight": 50, "analysis": analysis}}}})
}

fn state(shop: &Shop, service: &str) -> CanaryStatus {
    let status = shop.status.as_ref().expect("a status");
    let found = status.services.iter().find(|found| found.name == service);
    found.and_then(|found| found.canary.clone()).expect("a canary")
}

#[tokio::test]
async fn a_canary_gets_its_share_through_a_gateway_and_takes_over_when_it_is_good_and_goes_when_it_is_not() {
    with_scene(async |scene| {
        let parent = json!({"name": GATEWAY, "namespace": GATEWAY_NAMESPACE, "sectionName": LISTENER});
        let gateway = json!({"parentRefs": [parent]});
        let spec =
            json!({"host": "acorn.test", "ingress": {"gateway": gateway}, "lifecycle": {"dataOnDelete": "Delete"}});
        scene.create(&spec).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("RouteReady", "True", Some("RouteApplied")).await;
        scene.until_shop("Ready", "True", None).await;
        let visitors = Visitors::default();
        tokio::select! {
            () = visitors.come() => {}
            () = Box::pin(canaries_come_and_go(&scene)) => {}
        }
        let (answered, refused) = visitors.counts();
        assert!(refused * 100 <= answered, "{refused} refused, {answered} answered");
    })
    .await;
}

async fn canaries_come_and_go(scene: &Scene) {
    // Nothing is that fast.
    scene.edit(&canary(scene, "product", "product", "0ms")).await.expect("an edit");
    let slow = scene.until_shop("CanaryPromoted", "False", Some("RolledBack")).await;
    let told = state(&slow, "product");
    assert!(told.message.contains("0ms is the longest") && told.requests >= Some(20), "{told:?}");

    scene.edit(&canary(scene, "product", "product", "10s")).await.expect("an edit");
    let good = scene.until_shop("CanaryPromoted", "True", Some("Promoted")).await;
    let told = state(&good, "product");
    assert!(told.requests >= Some(20) && told.success_rate >= Some(90.0), "{told:?}");

    // The docs service knows none of order's settings.
    scene.edit(&canary(scene, "order", "docs", "10s")).await.expect("an edit");
    let broken = scene.until_shop("CanaryPromoted", "False", Some("RolledBack")).await;
    assert_eq!(state(&broken, "order").phase, CanaryPhase::RolledBack);
    assert_eq!(state(&broken, "product").phase, CanaryPhase::Promoted);
    for gone in ["acorn-product-canary", "acorn-order-canary"] {
        scene.until(gone, "is gone", |found: Option<&Deployment>| found.is_none()).await;
    }
    let ready = scene.until_shop("Ready", "True", None).await.status.expect("a status");
    assert_eq!(ready.services_ready.as_deref(), Some("7/7"), "the service itself was never touched");
}
