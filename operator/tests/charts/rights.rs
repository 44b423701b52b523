//! Cluster-wide or in some namespaces: where the operator has its rights.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{NAMESPACE, items, objects, of_kind, one, rendered, template_as, text};

/// What a role, or a role of the whole cluster, allows to whom the chart binds it to: `verb resource`.
fn allowed(objects: &[Value], binding: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for binding in of_kind(objects, binding) {
        let wanted = &binding["roleRef"];
        let roles = of_kind(objects, text(&wanted["kind"]));
        let role = roles.into_iter().find(|role| {
            role["metadata"]["name"] == wanted["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        let role = role.unwrap_or_else(|| panic!("{binding} binds a role that is not there"));
        let account = one(objects, "ServiceAccount");
        assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
        for rule in items(&role["rules"]) {
            for resource in items(&rule["resources"]) {
                allowed.extend(items(&rule["verbs"]).map(|verb| format!("{} {}", text(verb), text(resource))));
            }
        }
    }
    allowed
}

#[test]
fn an_operator_of_all_namespaces_has_its_rights_in_the_cluster() {
    let objects = rendered(None);
    let allowed = allowed(&objects, "ClusterRoleBinding");
    for right in ["list shops", "patch shops/status", "get secrets", "patch deployments"] {
        assert!(allowed.contains(right), "{right} is missing");
    }
    let elsewhere = of_kind(&objects, "Role").into_iter().filter(|role| role["metadata"]["namespace"] != NAMESPACE);
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn an_operator_of_two_namespaces_has_the_same_rights_in_each_and_only_looks_at_what_belongs_to_none() {
    let everywhere = allowed(&rendered(None), "ClusterRoleBinding");
    let objects = rendered(Some("namespaced"));
    let cluster = allowed(&objects, "ClusterRoleBinding");
    assert!(!cluster.is_empty(), "ingress classes belong to no namespace");
    for right in &cluster {
        let looks = ["get ", "list ", "watch "].iter().any(|verb| right.starts_with(verb));
        assert!(looks && !right.contains("secrets"), "{right} in all namespaces");
    }
    let roles = of_kind(&objects, "Role");
    for namespace in ["oak", "elm"] {
        let mut of_namespace: Vec<Value> =
            objects.iter().filter(|object| object["metadata"]["namespace"] == namespace).cloned().collect();
        assert_eq!(of_namespace.len(), 2, "a Role and its RoleBinding in {namespace}");
        of_namespace.push(one(&objects, "ServiceAccount").clone());
        assert_eq!(&allowed(&of_namespace, "RoleBinding") | &cluster, everywhere, "{namespace}");
    }
    assert_eq!(roles.len(), 3, "one for the Lease, one for each namespace");
}

#[test]
fn people_who_view_a_namespace_see_what_kubernetes_own_roles_do_not_show_and_a_plan_compares() {
    let objects = rendered(None);
    let viewing = of_kind(&objects, "ClusterRole")
        .into_iter()
        .find(|role| role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true");
    let rules = &viewing.expect("a role for people who view")["rules"];
    for (group, kind) in [
        ("gateway.networking.k8s.io", "httproutes"),
        ("postgresql.cnpg.io", "clusters"),
        ("rabbitmq.com", "rabbitmqclusters"),
    ] {
        let about = |rule: &&Value| rule["apiGroups"][0] == group && rule["resources"][0] == kind;
        let rule = items(rules).find(about).unwrap_or_else(|| panic!("no rule about {kind}"));
        let verbs: Vec<&str> = items(&rule["verbs"]).map(text).collect();
        assert_eq!(verbs, ["get", "list"], "{kind}");
    }
}

/// The Lease of a release's operator, and those that it may write.
fn leases(release: &str) -> (String, Vec<String>) {
    let objects = objects(template_as(release, NAMESPACE, "shopkeeper", &[]));
    let operator = &one(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let own = items(&operator["env"]).find(|variable| variable["name"] == "SHOPKEEPER_LEASE").expect("the variable");
    let rules =
        items(&one(&objects, "Role")["rules"]).filter(|rule| items(&rule["verbs"]).any(|verb| verb == "update"));
    let named = rules.flat_map(|rule| items(&rule["resourceNames"])).map(|name| text(name).to_owned());
    (text(&own["value"]).to_owned(), named.collect())
}

#[test]
fn every_release_has_a_lease_of_its_own_and_may_write_no_other() {
    assert_eq!(leases("shopkeeper"), ("shopkeeper-operator".to_owned(), vec!["shopkeeper-operator".to_owned()]));
    let (own, written) = leases("elm");
    assert_ne!(own, "shopkeeper-operator");
    assert_eq!(written, [own]);
}

#[test]
fn people_get_shops_through_the_roles_they_have() {
    let objects = rendered(None);
    let aggregated = |label: &str| {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{label}");
        of_kind(&objects, "ClusterRole").into_iter().find(|role| role["metadata"]["labels"][&label] == "true").is_some()
    };
    assert!(["admin", "edit", "view"].iter().all(|label| aggregated(label)));
}
