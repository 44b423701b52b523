//! The chart gives the operator the rights it needs for what it builds, and not those it must not have.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use shopkeeper_operator::kinds::{HttpRoute, PostgresCluster, RabbitmqCluster};
use shopkeeper_operator::render;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::rights::in_namespaces;

use crate::support::{FIXTURES, project, read, shop};

struct Kind {
    name: String,
    group: String,
    plural: String,
}

fn kind<K: Resource<DynamicType = ()>>() -> Kind {
    Kind { name: K::kind(&()).into(), group: K::group(&()).into(), plural: K::plural(&()).into() }
}

fn kinds() -> Vec<Kind> {
    vec![
        kind::<ServiceAccount>(),
        kind::<Secret>(),
        kind::<ConfigMap>(),
        kind::<Service>(),
        kind::<StatefulSet>(),
        kind::<PostgresCluster>(),
        kind::<RabbitmqCluster>(),
        kind::<Job>(),
        kind::<Deployment>(),
        kind::<HorizontalPodAutoscaler>(),
        kind::<PodDisruptionBudget>(),
        kind::<NetworkPolicy>(),
        kind::<Ingress>(),
        kind::<HttpRoute>(),
    ]
}

fn verbs(kind: &Kind) -> BTreeSet<String> {
    let has = |list: &Option<Vec<String>>, item: &String| list.iter().flatten().any(|entry| entry == item);
    let matching = in_namespaces()
        .expect("rules")
        .into_iter()
        .filter(|rule| has(&rule.api_groups, &kind.group) && has(&rule.resources, &kind.plural));
    matching.flat_map(|rule| rule.verbs).collect()
}

#[test]
fn every_kind_that_is_built_has_its_rights() {
    let known = kinds();
    for fixture in FIXTURES {
        for object in render::render(&shop(fixture), &Settings::default()).expect("a valid Shop") {
            let kind = known.iter().find(|kind| kind.name == object.kind);
            let kind = kind.unwrap_or_else(|| panic!("{} is not in this test's list", object.kind));
            let verbs = verbs(kind);
            for verb in ["get", "create", "patch"] {
                assert!(verbs.contains(verb), "the chart lets the operator not {verb} {}", kind.plural);
            }
            // What others define is not watched.
            let needed: &[&str] =
                if kind.name == "HTTPRoute" { &["list", "delete"] } else { &["list", "watch", "delete"] };
            let collected = needed.iter().all(|verb| verbs.contains(*verb));
            let kept = ["Secret", "Cluster", "RabbitmqCluster"].contains(&&*kind.name);
            assert!(collected || kept, "{} cannot be found or pruned", kind.plural);
        }
    }
}

#[test]
fn secrets_are_never_listed_or_watched() {
    let verbs = verbs(&kind::<Secret>());
    assert_eq!(verbs.iter().map(String::as_str).collect::<Vec<_>>(), ["create", "delete", "get", "patch"]);
}

#[test]
fn clusters_of_other_operators_are_never_deleted_and_cannot_be_watched() {
    for verbs in [verbs(&kind::<PostgresCluster>()), verbs(&kind::<RabbitmqCluster>())] {
        assert_eq!(verbs.iter().map(String::as_str).collect::<Vec<_>>(), ["create", "get", "list", "patch"]);
    }
}

#[test]
fn pods_are_only_looked_at() {
    assert_eq!(verbs(&kind::<Pod>()).iter().map(String::as_str).collect::<Vec<_>>(), ["list", "watch"]);
}

#[test]
fn every_rule_says_why() {
    let template = read(&project().join("charts/shopkeeper/templates/rbac.yaml"));
    for document in template.split("\n---\n") {
        let lines: Vec<&str> = document.lines().collect();
        let is_reason = |line: &str| line.trim_start().starts_with('#');
        let rules: Vec<usize> =
            (0..lines.len()).filter(|&at| lines[at].trim_start().starts_with("- apiGroups")).collect();
        // Where there is one rule only, its reason may stand at the top, as that of the whole object.
        let only = rules.len() == 1 && is_reason(lines[0]);
        for at in rules {
            assert!(only || is_reason(lines[at - 1]), "a rule has no reason:\n{}", lines[at..].join("\n"));
        }
    }
}
