//! What others do to the objects of a Shop is put right, whichever kind they are of, and what leaves the spec leaves the
//! cluster. Kinds are those that the API server finds: one without a way to spoil it fails.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};
use shopkeeper_operator::names;
use shopkeeper_testing::{SHOP, Scene};

use crate::scene::with_scene;
use crate::snapshot::{Snapshot, differences, differences_now, kinds, left_behind, snapshot};
use crate::steady::{NOTHING, edit_by, ready, repairs};

/// The service whose load decides how many pods it has: their number is not the operator's.
const SCALED: &str = "acorn-order";
/// What only a person can put right (`deletion.rs` has the test).
const CREDENTIALS: &str = "acorn-credentials";
/// Private keys of a mesh.
const KEYS: [&str; 7] = [
    "acorn-cart-identity",
    "acorn-mongodb-tls",
    "acorn-order-identity",
    "acorn-postgres-tls",
    "acorn-product-identity",
    "acorn-rabbitmq-tls",
    "acorn-redis-tls",
];
/// Kinds that can leave a Shop while it stays. Stores stay where they are; the route of a Gateway is in `operated.rs`.
const LEAVING: [&str; 9] = [
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Job",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// A Shop with objects of every kind that no other operator has to know.
fn full() -> Value {
    json!({
        "host": "acorn.test",
        "services": {
            "cart": {"replicas": 2},
            "order": {"autoscaling": {"maxReplicas": 3}},
        },
    })
}

/// An object of the Shop, and its kind.
struct Ours {
    kind: ApiResource,
    object: DynamicObject,
}

impl Ours {
    fn name(&self) -> String {
        self.object.name_any()
    }

    fn api(&self, scene: &Scene) -> Api<DynamicObject> {
        Api::namespaced_with(scene.client.clone(), &scene.namespace, &self.kind)
    }

    /// Whether it proves who somebody is: what replaces it is another one.
    fn is_certificate(&self) -> bool {
        self.kind.kind == "Secret" && ["-identity", "-tls"].iter().any(|end| self.name().ends_with(end))
    }
}

/// Everything that the operator made for the Shop and would make again.
async fn ours(scene: &Scene) -> Vec<Ours> {
    let mut found = Vec::new();
    for kind in &kinds(scene).await {
        let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &scene.namespace, kind);
        let list = api.list(&ListParams::default().labels(&names::of_shop(SHOP))).await.expect("a list").items;
        found.extend(list.into_iter().map(|object| Ours { kind: kind.clone(), object }));
    }
    found.retain(|ours| ours.name() != CREDENTIALS);
    found
}

/// A change of what the operator says about an object.
fn spoiled(ours: &Ours) -> Value {
    let name = ours.name();
    let emptied = || {
        let data = ours.object.data["data"].as_object().into_iter().flatten();
        json!({"data": data.map(|(key, _)| (key.clone(), json!(""))).collect::<Map<_, _>>()})
    };
    let stops_sooner = json!({"spec": {"terminationGracePeriodSeconds": 20}});
    let more = json!({"acorn.test/mine": "yes"});
    match ours.kind.kind.as_str() {
        "ConfigMap" | "Secret" => emptied(),
        "Deployment" if name == SCALED => json!({"spec": {"template": stops_sooner}}),
        "Deployment" => json!({"spec": {"replicas": 5, "template": stops_sooner}}),
        "HorizontalPodAutoscaler" => json!({"spec": {"maxReplicas": 9}}),
        "Ingress" => json!({"spec": {"rules": [{"host": "elsewhere.test"}]}}),
        "Job" => json!({"spec": {"backoffLimit": 9}}),
        "NetworkPolicy" => json!({"spec": {"podSelector": {"matchLabels": more}}}),
        "PodDisruptionBudget" => json!({"spec": {"maxUnavailable": 2, "selector": {"matchLabels": more}}}),
        "Service" => json!({"spec": {"selector": more}}),
        "ServiceAccount" => json!({"automountServiceAccountToken": true}),
        "StatefulSet" => json!({"spec": {"template": stops_sooner}}),
        other => panic!("{other} {name}: say here what somebody may change in it"),
    }
}

/// Makes a Shop with everything: how it was, and its objects but for certificates, of which new ones differ.
async fn full_shop(scene: &Scene) -> (Snapshot, Vec<Ours>) {
    ready(scene, &full()).await;
    let mut all = ours(scene).await;
    all.retain(|ours| !ours.is_certificate());
    (snapshot(scene).await, all)
}

#[tokio::test]
async fn every_object_that_somebody_edits_is_put_right_by_one_write_each() {
    with_scene(async |scene, _kubelet| {
        let (before, all) = full_shop(&scene).await;
        for ours in &all {
            edit_by(&ours.api(&scene), &ours.name(), spoiled(ours)).await;
        }
        let touched: BTreeSet<String> =
            all.iter().map(|ours| format!("{}/{}", ours.kind.plural, ours.name())).collect();
        let repaired: Vec<String> = repairs(&scene).await.iter().map(|write| last_two(write)).collect();
        assert_eq!(repaired.len(), touched.len(), "each is written once: {repaired:?}");
        assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), touched);
        assert_eq!(differences_now(&before, &snapshot(&scene).await), NOTHING);
        assert_eq!(repairs(&scene).await, NOTHING);
    })
    .await;
}

/// Plural and name, of a request to an object.
fn last_two(write: &str) -> String {
    let parts: Vec<&str> = write.rsplitn(3, '/').collect();
    format!("{}/{}", parts[1], parts[0])
}

#[tokio::test]
async fn every_object_that_somebody_deletes_is_made_again_as_it_was() {
    with_scene(async |scene, _kubelet| {
        let (before, all) = full_shop(&scene).await;
        for ours in &all {
            ours.api(&scene).delete(&ours.name(), &DeleteParams::background()).await.expect("a deletion");
        }
        // The status is about objects that are gone now; one reconcile notices.
        assert!(!repairs(&scene).await.is_empty());
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        assert_eq!(left_behind(&scene, &before).await, NOTHING);
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(repairs(&scene).await, NOTHING);
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_somebody_deletes_or_damages_is_issued_again_and_nothing_else_changes() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &json!({"host": "acorn.test"})).await;
        let before = snapshot(&scene).await;
        let api = scene.api::<Secret>();
        edit_by(&api, "acorn-order-identity", json!({"data": {"tls.crt": "", "tls.key": null}})).await;
        for lost in ["acorn-cart-identity", "acorn-product-identity"] {
            api.delete(lost, &DeleteParams::default()).await.expect("a deletion");
        }
        let repaired: Vec<String> = repairs(&scene).await.iter().map(|write| last_two(write)).collect();
        let identities = ["cart", "order", "product"].map(|service| format!("Secret acorn-{service}-identity"));
        assert_eq!(repaired.len(), identities.len(), "{repaired:?}");
        let now = snapshot(&scene).await;
        for identity in &identities {
            let keys =
                |of: &Snapshot| of[identity]["data"].as_object().expect("data").keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&now), keys(&before), "{identity}");
            assert_ne!(now[identity]["data"]["tls.crt"], before[identity]["data"]["tls.crt"], "{identity}");
        }
        let mut others = differences(&before, &now);
        others.retain(|line| !identities.iter().any(|identity| line.starts_with(identity.as_str())));
        assert_eq!(others, NOTHING);
        assert_eq!(repairs(&scene).await, NOTHING);
    })
    .await;
}

#[tokio::test]
async fn parts_that_leave_the_spec_are_pruned_and_what_only_looks_like_them_is_not() {
    with_scene(async |scene, _kubelet| {
        let mut more = full();
        more["services"]["product"] = json!({"canary": {"version": "9.9.9"}});
        scene.create(&more).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("CanaryPromoted", "False", Some("Progressing")).await;
        scene.until_shop("Ready", "True", None).await;
        // Labels are copied around; an owner is not.
        let labels = scene.api::<ConfigMap>().get("acorn-redis").await.expect("a ConfigMap").metadata.labels;
        let lookalike: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "copy", "labels": labels}})).expect("a ConfigMap");
        scene.api().create(&PostParams::default(), &lookalike).await.expect("a ConfigMap");
        let before = snapshot(&scene).await;
        let fewer = json!({
            "services": {"cart": {"replicas": 1}, "order": {"autoscaling": null}, "product": {"canary": null}},
            "telemetry": {"embedded": null, "disabled": {}},
            "mesh": {"mtls": "Off", "networkPolicy": {"enabled": false}},
        });
        scene.edit(&fewer).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
        scene.until("acorn-postgres-tls", "is gone", |found: Option<&Secret>| found.is_none()).await;
        drop(operator);
        let mut gone = missing(&differences(&before, &snapshot(&scene).await));
        assert_eq!(gone.keys().map(String::as_str).collect::<Vec<_>>(), LEAVING);

        // All of them: no policy is wanted, and every migration is another one where traces and TLS are.
        for kind in ["Job", "NetworkPolicy"] {
            let all: Vec<String> = before.keys().filter_map(|key| name_of(kind, key)).collect();
            assert_eq!(gone.remove(kind), Some(all));
        }
        let expected: [(&str, &[&str]); 7] = [
            ("ConfigMap", &["acorn-postgres", "acorn-store-authorities"]),
            ("Deployment", &["acorn-product-canary", "acorn-traces"]),
            ("HorizontalPodAutoscaler", &["acorn-order"]),
            ("PodDisruptionBudget", &["acorn-cart"]),
            ("Secret", &KEYS),
            ("Service", &["acorn-product-canary-grpc", "acorn-traces"]),
            ("ServiceAccount", &["acorn-traces"]),
        ];
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = expected.map(|(kind, names)| (kind.to_owned(), owned(names)));
        assert_eq!(gone, BTreeMap::from(expected));
    })
    .await;
}

/// The names of what is missing, by kind.
fn missing(differences: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let lines = differences.iter().filter_map(|line| line.strip_suffix(" is missing")?.split_once(' '));
    lines.for_each(|(kind, name)| found.entry(kind.to_owned()).or_default().push(name.to_owned()));
    found
}

/// The name of an object, if it is of that kind.
fn name_of(kind: &str, key: &str) -> Option<String> {
    let (found, name) = key.split_once(' ')?;
    (found == kind).then(|| name.to_owned())
}
