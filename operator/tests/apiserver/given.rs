//! Secrets that somebody else writes: pods that read them follow.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_testing::Scene;

use crate::scene::with_scene;

/// The Secrets, and the services that read them.
const SECRETS: [(&str, &[&str]); 4] = [
    ("acorn-mail", &["user"]),
    ("acorn-squirrel", &["user"]),
    ("acorn-pictures", &["product"]),
    ("acorn-collector", &["user", "product", "cart", "order", "payment", "delivery", "docs"]),
];

fn spec() -> Value {
    json!({
        "host": "acorn.test",
        "users": {
            "adminSecretName": "acorn-squirrel",
            "mail": {"smtp": {"secretName": "acorn-mail", "from": "shop@acorn.test"}},
        },
        "products": {"images": {"s3": {"bucket": "pictures", "secretName": "acorn-pictures"}}},
        "telemetry": {"otlp": {"endpoint": "http://collector.test:4317", "headersSecretName": "acorn-collector"}},
    })
}

#[tokio::test]
async fn a_changed_secret_starts_new_pods_of_those_that_read_it_and_of_nobody_else() {
    with_scene(async |scene, _kubelet| {
        for (name, _) in SECRETS {
            let secret: Secret =
                serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"key": "1"}}))
                    .expect("a Secret");
            scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
        }
        scene.create(&spec()).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        for (name, readers) in SECRETS {
            let change = Patch::Merge(json!({"stringData": {"key": "2"}}));
            scene.api::<Secret>().patch(name, &PatchParams::default(), &change).await.expect("an edit");
            assert_eq!(changed_services(&scene).await, readers, "{name}");
            let operator = scene.operate();
            scene.until_shop("Ready", "True", None).await;
            drop(operator);
            scene.writes_of_a_reconcile().await;
        }
        scene.api::<Secret>().delete("acorn-mail", &DeleteParams::default()).await.expect("a deletion");
        assert_eq!(changed_services(&scene).await, ["user"], "a pod that starts now says what it lacks");
    })
    .await;
}

/// The services of which a reconcile changes the Deployment.
async fn changed_services(scene: &Scene) -> Vec<String> {
    let writes = scene.writes_of_a_reconcile().await;
    let changed = writes.iter().filter_map(|write| write.split_once("/deployments/acorn-"));
    changed.map(|(_, service)| service.to_owned()).collect()
}
