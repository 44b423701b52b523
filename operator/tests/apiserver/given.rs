//! Secrets that somebody else writes: pods that read them follow, and what they say of stores is tried first.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_testing::Scene;

use crate::scene::with_scene;
use crate::steady::NOTHING;

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

#[tokio::test]
async fn a_changed_port_of_a_store_is_tried_while_pods_that_serve_reach_the_former_one() {
    with_scene(async |scene, kubelet| {
        let values = json!({"host": "sql.test", "username": "squirrel", "password": "acorns"});
        let secret = json!({"metadata": {"name": "acorn-sql"}, "stringData": values});
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
        let external = json!({"external": {"secretName": "acorn-sql"}});
        scene.create(&json!({"host": "acorn.test", "postgres": external})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(ports_of(&scene, "acorn-order").await, BTreeSet::from([5432]));

        kubelet.break_down("order-migrate").await.expect("a report");
        let moved = Patch::Merge(json!({"stringData": {"port": "6432"}}));
        scene.api::<Secret>().patch("acorn-sql", &PatchParams::default(), &moved).await.expect("an edit");
        // Secrets are not watched.
        scene.touch().await;
        scene.until_shop("Migrated", "False", None).await;
        assert_eq!(ports_of(&scene, "acorn-order").await, BTreeSet::from([5432, 6432]));
        assert_eq!(ports_of(&scene, "acorn-order-migrate").await, BTreeSet::from([6432]));
        drop(operator);
        let mut writes = scene.writes_of_a_reconcile().await;
        writes.retain(|write| write.contains("/networkpolicies/"));
        assert_eq!(writes, NOTHING, "what is allowed already is not allowed again");

        let _operator = scene.operate();
        kubelet.mend("order-migrate").await.expect("a report");
        scene.until_shop("Ready", "True", None).await;
        let exact = |found: Option<&NetworkPolicy>| found.is_some_and(|found| ports(found) == BTreeSet::from([6432]));
        scene.until("acorn-order", "leads to the new port alone", exact).await;
    })
    .await;
}

async fn ports_of(scene: &Scene, policy: &str) -> BTreeSet<i32> {
    ports(&scene.api::<NetworkPolicy>().get(policy).await.expect("a policy"))
}

/// The ports at which pods reach whoever is there.
fn ports(policy: &NetworkPolicy) -> BTreeSet<i32> {
    let rules = policy.spec.iter().flat_map(|spec| spec.egress.iter().flatten()).filter(|rule| rule.to.is_none());
    let ports = rules.flat_map(|rule| rule.ports.iter().flatten()).filter_map(|port| port.port.as_ref());
    ports.map(|port| if let IntOrString::Int(number) = port { *number } else { panic!("{port:?}") }).collect()
}
