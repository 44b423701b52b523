//! Stores that other operators run, and routes that Gateways take: the API server takes what they are asked for by the
//! definitions that they publish, which `cargo xtask test` downloads. The test reports what those operators would, which do not
//! run here.

use std::path::Path;
use std::{env, fs};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::kinds::{HttpRoute, PostgresCluster, RabbitmqCluster};
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::{SHOP, Scene, message};
use tokio::sync::OnceCell;

use crate::scene::with_scene;
use crate::steady::{NOTHING, edit, repairs};

const POSTGRES: &str = "acorn-postgres";
const RABBITMQ: &str = "acorn-rabbitmq";
/// What [`install`] did, for all tests.
static INSTALLED: OnceCell<()> = OnceCell::const_new();

#[tokio::test]
async fn a_shop_says_which_operators_are_missing_and_goes_on_with_their_clusters_when_they_are_there() {
    with_scene(async |scene, _kubelet| {
        let spec = json!({
            "host": "acorn.test",
            "ingress": {"gateway": {"parentRefs": [{"name": "gate"}]}},
            "postgres": {"cloudNativePG": {"instances": 2, "storage": "2Gi"}},
            "rabbitmq": {"clusterOperator": {"replicas": 1}},
        });
        scene.create(&spec).await.expect("a Shop");
        let operator = scene.operate();
        install(&scene).await;
        let asked = scene.until(POSTGRES, "is asked for", conditions_met(|c: &PostgresCluster| c.spec.instances == 2));
        assert_eq!(asked.await.expect("the cluster").spec.storage.size, "2Gi");
        scene.until(RABBITMQ, "is asked for", conditions_met(|c: &RabbitmqCluster| c.spec.replicas == 1)).await;
        let shop = scene.until_shop("DependenciesReady", "False", Some("StoreNotReady")).await;
        let told = message(&shop, "DependenciesReady");
        assert!(told.contains("CloudNativePG has not made the superuser's Secret yet"), "{told}");
        assert!(told.contains("rabbitmq is not ready"), "{told}");

        postgres_runs(&scene, 2).await;
        rabbitmq_runs(&scene).await;
        gateway_takes_the_route(&scene).await;
        let stores = scene.until_shop("Ready", "True", None).await.status.expect("a status").stores;
        assert!(stores.iter().all(|store| store.ready), "{stores:?}");

        let more =
            json!({"postgres": {"cloudNativePG": {"instances": 3}}, "rabbitmq": {"clusterOperator": {"replicas": 3}}});
        scene.edit(&more).await.expect("an edit");
        scene.until(POSTGRES, "grows", conditions_met(|c: &PostgresCluster| c.spec.instances == 3)).await;
        scene.until(RABBITMQ, "grows", conditions_met(|c: &RabbitmqCluster| c.spec.replicas == 3)).await;
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        // Those definitions have defaults of their own.
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
        what_others_do_is_put_right(&scene).await;

        let _operator = scene.operate();
        Box::pin(the_way_in_of_before_stays_until_the_other_is_open(&scene)).await;

        falls_asleep_with_its_clusters(&scene).await;
        wakes_with_the_nodes_that_it_had_before_it_grows(&scene).await;
        scene.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect("a deletion");
        scene.until::<Deployment>("acorn-cart", "is collected", |found: Option<&Deployment>| found.is_none()).await;
        assert!(stays::<PostgresCluster>(&scene, POSTGRES).await && stays::<RabbitmqCluster>(&scene, RABBITMQ).await);
    })
    .await;
}

/// Other operators are installed, for all tests: the first Shop with clusters of theirs says before what it lacks.
pub async fn install(scene: &Scene) {
    INSTALLED.get_or_init(|| Box::pin(define_what_is_missing(scene))).await;
}

async fn define_what_is_missing(scene: &Scene) {
    let shop = scene.until_shop("DependenciesReady", "False", Some("CloudNativePGMissing")).await;
    let told = message(&shop, "DependenciesReady");
    for field in ["spec.postgres.cloudNativePG", "spec.rabbitmq.clusterOperator"] {
        assert!(told.contains(&format!("{field} needs an operator that is not on this cluster")), "{told}");
    }
    define(scene, "postgresql.cnpg.io_clusters.yaml").await;
    define(scene, "rabbitmq.com_rabbitmqclusters.yaml").await;
    define(scene, "gateway.networking.k8s.io_httproutes.yaml").await;
}

/// Edits and deletes what other operators are asked for, and sees it come back as it was.
async fn what_others_do_is_put_right(scene: &Scene) {
    let before = wanted(scene).await;
    edit::<PostgresCluster>(scene, POSTGRES, json!({"spec": {"instances": 5}})).await;
    edit::<RabbitmqCluster>(scene, RABBITMQ, json!({"spec": {"replicas": 7}})).await;
    edit::<HttpRoute>(scene, SHOP, json!({"spec": {"hostnames": ["elsewhere.test"]}})).await;
    assert_eq!(repairs(scene).await.len(), before.len(), "exactly what was touched is written");
    assert_eq!(wanted(scene).await, before);
    delete::<PostgresCluster>(scene, POSTGRES).await;
    delete::<RabbitmqCluster>(scene, RABBITMQ).await;
    delete::<HttpRoute>(scene, SHOP).await;
    repairs(scene).await;
    assert_eq!(wanted(scene).await, before);
    postgres_reports(scene, 3).await;
    rabbitmq_runs(scene).await;
    gateway_takes_the_route(scene).await;
}

/// The pods of clusters are not the Shop's, so their operators have to say that there are none.
async fn falls_asleep_with_its_clusters(scene: &Scene) {
    scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
    let asked = scene.until(RABBITMQ, "is asked to stop", conditions_met(|c: &RabbitmqCluster| c.spec.replicas == 0));
    let generation = asked.await.expect("the cluster").metadata.generation;
    let still_run = |shop: &Shop| message(shop, "Progressing") == "stopping, postgres still runs; rabbitmq still runs";
    scene.until(SHOP, "has no pods of its own any more", conditions_met(still_run)).await;
    scene.until_shop("Hibernated", "False", None).await;

    let condition = json!({
        "type": "cnpg.io/hibernation", "status": "True", "reason": "Hibernated", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    report::<PostgresCluster>(scene, POSTGRES, &json!({"readyInstances": 0, "conditions": [condition]})).await;
    let stopped = [json!({"type": "ClusterAvailable", "status": "False"})];
    let stopped = json!({"observedGeneration": generation, "conditions": stopped});
    report::<RabbitmqCluster>(scene, RABBITMQ, &stopped).await;
    scene.touch().await;
    scene.until_shop("Hibernated", "True", None).await;
}

/// The RabbitMQ cluster operator starts as many nodes as it stopped, and refuses any other number.
async fn wakes_with_the_nodes_that_it_had_before_it_grows(scene: &Scene) {
    let note =
        |before: Value| json!({"metadata": {"annotations": {"rabbitmq.com/before-zero-replicas-configured": before}}});
    edit::<RabbitmqCluster>(scene, RABBITMQ, note(json!("3"))).await;
    let larger = json!({"lifecycle": {"hibernated": false}, "rabbitmq": {"clusterOperator": {"replicas": 5}}});
    scene.edit(&larger).await.expect("an edit");
    scene.until(RABBITMQ, "wakes as it was", conditions_met(|c: &RabbitmqCluster| c.spec.replicas == 3)).await;
    edit::<RabbitmqCluster>(scene, RABBITMQ, note(Value::Null)).await;
    scene.touch().await;
    scene.until(RABBITMQ, "grows", conditions_met(|c: &RabbitmqCluster| c.spec.replicas == 5)).await;
}

/// Goes over to an Ingress and back to the Gateway, each time with a mistake first.
async fn the_way_in_of_before_stays_until_the_other_is_open(scene: &Scene) {
    scene.edit(&json!({"ingress": {"gateway": null, "className": "squirrel"}})).await.expect("an edit");
    let shop = scene.until_shop("RouteReady", "False", Some("NoSuchIngressClass")).await;
    let told = message(&shop, "RouteReady");
    assert!(told.contains("the HTTPRoute of before stays"), "{told}");
    assert!(stays::<HttpRoute>(scene, SHOP).await && stays::<Ingress>(scene, SHOP).await);
    scene.edit(&json!({"ingress": {"className": null}})).await.expect("an edit");
    scene.until(SHOP, "is pruned", |found: Option<&HttpRoute>| found.is_none()).await;
    scene.until_shop("Ready", "True", None).await;

    scene.edit(&json!({"ingress": {"gateway": {"parentRefs": [{"name": "gaet"}]}}})).await.expect("an edit");
    let shop = scene.until_shop("RouteReady", "False", Some("GatewayNotReady")).await;
    let told = message(&shop, "RouteReady");
    assert!(told.contains("the Ingress of before stays"), "{told}");
    assert!(stays::<HttpRoute>(scene, SHOP).await && stays::<Ingress>(scene, SHOP).await);
    scene.edit(&json!({"ingress": {"gateway": {"parentRefs": [{"name": "gate"}]}}})).await.expect("an edit");
    gateway_takes_the_route(scene).await;
    scene.until(SHOP, "is pruned", |found: Option<&Ingress>| found.is_none()).await;
    scene.until_shop("Ready", "True", None).await;
}

/// What other operators are asked for.
async fn wanted(scene: &Scene) -> [Value; 3] {
    [
        spec::<PostgresCluster>(scene, POSTGRES).await,
        spec::<RabbitmqCluster>(scene, RABBITMQ).await,
        spec::<HttpRoute>(scene, SHOP).await,
    ]
}

async fn spec<K: Child>(scene: &Scene, name: &str) -> Value {
    json!(scene.api::<K>().get(name).await.expect("what was asked for"))["spec"].take()
}

async fn delete<K: Child>(scene: &Scene, name: &str) {
    scene.api::<K>().delete(name, &DeleteParams::default()).await.expect("a deletion");
}

/// What the installation of another operator does first.
async fn define(scene: &Scene, file: &str) {
    let folder =
        env::var_os("SHOP_TEST_DEFINITIONS").expect("SHOP_TEST_DEFINITIONS is not set: run `cargo xtask test`");
    let text = fs::read_to_string(Path::new(&folder).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let definition: CustomResourceDefinition = serde_saphyr::from_str(&text).expect("a definition");
    let api: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    api.create(&PostParams::default(), &definition).await.expect("a definition");
    await_condition(api, &definition.name_any(), conditions::is_crd_established()).await.expect("a watch");
}

fn conditions_met<K>(met: impl Fn(&K) -> bool) -> impl Fn(Option<&K>) -> bool {
    move |found| found.is_some_and(&met)
}

/// As CloudNativePG reports it.
pub async fn postgres_runs(scene: &Scene, instances: i32) {
    let secrets = [
        json!({"metadata": {"name": "acorn-postgres-superuser"}, "stringData": {"username": "postgres", "password": "secret"}}),
        json!({"metadata": {"name": "acorn-postgres-ca"}, "stringData": {"ca.crt": "an authority"}}),
    ];
    for secret in secrets {
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
    }
    postgres_reports(scene, instances).await;
}

async fn postgres_reports(scene: &Scene, instances: i32) {
    let primary = "acorn-postgres-1";
    let status = json!({"readyInstances": instances, "currentPrimary": primary, "targetPrimary": primary});
    report::<PostgresCluster>(scene, POSTGRES, &status).await;
}

/// As the RabbitMQ cluster operator reports it.
pub async fn rabbitmq_runs(scene: &Scene) {
    let status = json!({"conditions": [{"type": "ClusterAvailable", "status": "True"}]});
    report::<RabbitmqCluster>(scene, RABBITMQ, &status).await;
}

/// As whoever runs the Gateway reports it, of whatever becomes of the route.
async fn gateway_takes_the_route(scene: &Scene) {
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": type_, "message": "", "observedGeneration": 1000,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let conditions = ["Accepted", "ResolvedRefs"].map(condition);
    let told = json!({"parentRef": {"name": "gate"}, "controllerName": "edge.test/gate", "conditions": conditions});
    report::<HttpRoute>(scene, SHOP, &json!({"parents": [told]})).await;
}

/// Reports about what is there, or will be.
async fn report<K: Child + Send + Sync + 'static>(scene: &Scene, name: &str, status: &Value) {
    scene.until(name, "is asked for", |found: Option<&K>| found.is_some()).await;
    let status = Patch::Merge(json!({ "status": status }));
    scene.api::<K>().patch_status(name, &PatchParams::default(), &status).await.expect("a report");
}

async fn stays<K: Child>(scene: &Scene, name: &str) -> bool {
    scene.api::<K>().get_metadata(name).await.expect("what stays").metadata.deletion_timestamp.is_none()
}
