//! The operator's own objects: what there is, and that the parts fit each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{NAMESPACE, items, objects, of_kind, one, rendered, selects, template, template_as, text};

/// The operator's pod and that of `helm test`.
fn pods(objects: &[Value]) -> Vec<(&Value, &Value)> {
    let template = &one(objects, "Deployment")["spec"]["template"];
    let check = one(objects, "Pod");
    vec![(&template["metadata"], &template["spec"]), (&check["metadata"], &check["spec"])]
}

#[test]
fn one_operator_without_monitoring_is_what_the_defaults_make() {
    let objects = rendered(None);
    let kinds: BTreeSet<&str> = objects.iter().map(|object| text(&object["kind"])).collect();
    let wanted =
        ["ClusterRole", "ClusterRoleBinding", "Deployment", "Pod", "Role", "RoleBinding", "Service", "ServiceAccount"];
    assert_eq!(kinds, wanted.into());
    let pod = &one(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], concat!("shopkeeper/operator:", env!("CARGO_PKG_VERSION")));
    assert!(pod["affinity"].is_null() && pod["imagePullSecrets"].is_null());
}

#[test]
fn every_object_says_what_it_belongs_to_and_no_two_have_one_name() {
    for values in [None, Some("namespaced"), Some("monitored"), Some("placed")] {
        let mut names = BTreeSet::new();
        for object in rendered(values) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/name"], "shopkeeper", "{object}");
            assert_eq!(labels["app.kubernetes.io/instance"], "shopkeeper", "{object}");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{object}");
            let name = ["kind", "namespace", "name"].map(|field| match field {
                "kind" => text(&object[field]).to_owned(),
                _ => text(&object["metadata"][field]).to_owned(),
            });
            assert!(names.insert(name.clone()), "{name:?} twice");
        }
    }
}

#[test]
fn every_pod_passes_restricted_pod_security_and_has_a_memory_limit() {
    let objects = rendered(Some("placed"));
    for (_, pod) in pods(&objects) {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in items(&pod["containers"]) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"]["drop"][0], "ALL");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{container}");
        }
    }
}

#[test]
fn service_and_budget_find_the_operators_pods_and_not_that_of_the_test() {
    let objects = rendered(Some("namespaced"));
    let service = one(&objects, "Service");
    let budget = one(&objects, "PodDisruptionBudget");
    let deployment = one(&objects, "Deployment");
    let [(operator, pod), (check, test)] = pods(&objects)[..] else { panic!("two pods") };
    let selectors = [
        &service["spec"]["selector"],
        &budget["spec"]["selector"]["matchLabels"],
        &deployment["spec"]["selector"]["matchLabels"],
    ];
    for selector in selectors {
        assert!(selects(selector, &operator["labels"]), "{selector}");
        assert!(!selects(selector, &check["labels"]), "{selector}");
    }
    let ports: Vec<&str> = items(&pod["containers"][0]["ports"]).map(|port| text(&port["name"])).collect();
    assert!(items(&service["spec"]["ports"]).all(|port| ports.contains(&text(&port["targetPort"]))));
    let address = format!("http://{}.{NAMESPACE}:8080", text(&service["metadata"]["name"]));
    assert_eq!(test["containers"][0]["args"], serde_json::json!(["check", address]));
    assert_eq!(test["containers"][0]["image"], pod["containers"][0]["image"]);
}

#[test]
fn several_operators_prefer_different_nodes_and_one_stays_when_a_node_is_emptied() {
    let objects = rendered(Some("namespaced"));
    let affinity = &one(&objects, "Deployment")["spec"]["template"]["spec"]["affinity"];
    let preferred = &affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(preferred["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(one(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    assert!(of_kind(&rendered(None), "PodDisruptionBudget").is_empty(), "a budget for one pod only blocks a node");
}

#[test]
fn what_is_said_about_the_pods_reaches_them() {
    let objects = rendered(Some("placed"));
    let [(metadata, pod), (_, check)] = pods(&objects)[..] else { panic!("two pods") };
    assert_eq!(metadata["labels"]["team"], "shops");
    assert_eq!(metadata["annotations"]["example.com/scrape"], "no");
    for pod in [pod, check] {
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        assert_eq!(pod["nodeSelector"]["kubernetes.io/os"], "linux");
        assert_eq!(pod["tolerations"][0]["key"], "dedicated");
        assert!(pod["affinity"]["nodeAffinity"].is_object(), "{pod}");
        assert!(pod["affinity"]["podAntiAffinity"].is_null(), "one's own affinity replaces the default");
    }
    let endpoint =
        items(&pod["containers"][0]["env"]).find(|variable| variable["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!(endpoint.expect("the variable")["value"], "http://collector.observability:4317");
    let account = one(&objects, "ServiceAccount");
    assert_eq!(account["metadata"]["annotations"]["example.com/role"], "operator");
}

#[test]
fn the_test_finds_room_on_the_one_node_of_operators_that_stay_away_from_each_other() {
    let apart = r#"affinity.podAntiAffinity={"requiredDuringSchedulingIgnoredDuringExecution": []}"#;
    let objects = objects(template("shopkeeper", &["--set-json", apart]));
    let [(_, operator), (_, check)] = pods(&objects)[..] else { panic!("two pods") };
    assert!(operator["affinity"]["podAntiAffinity"].is_object(), "{operator}");
    assert!(check["affinity"].is_null(), "{check}");
}

/// A name that Kubernetes takes for a Service: it begins with a letter, and has no dot.
fn is_of_a_service(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    plain && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 63
}

#[test]
fn names_that_look_like_numbers_or_have_dots_stay_names() {
    let settings = ["--set-json", r#"watchNamespaces=["2025"],image.pullSecrets=["1e3"],priorityClassName="1e3""#];
    let monitored = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,\
                     metrics.alerts.enabled=true,metrics.dashboards.enabled=true";
    let settings = [&settings[..], &["--set", monitored]].concat();
    let longest = "1".repeat(53);
    for release in ["1e3", "shop.v1", &longest] {
        let objects = objects(template_as(release, "2024", "shopkeeper", &settings));
        for object in &objects {
            let metadata = &object["metadata"];
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], release, "{object}");
            let namespace = &metadata["namespace"];
            assert!(namespace.is_null() || namespace == "2024" || namespace == "2025", "{object}");
            assert!(items(&object["subjects"]).all(|subject| subject["namespace"] == "2024"), "{object}");
        }
        let service = text(&one(&objects, "Service")["metadata"]["name"]);
        assert!(is_of_a_service(service), "{service}");
        for (_, pod) in pods(&objects) {
            assert_eq!(pod["imagePullSecrets"][0]["name"], "1e3");
            assert_eq!(pod["priorityClassName"], "1e3");
        }
    }
}

#[test]
fn two_releases_in_one_cluster_share_no_object() {
    let settings = ["--set", "watchNamespaces={oak}"];
    let mut names = BTreeSet::new();
    // Put together with a hyphen these would be the same.
    for (release, namespace) in [("c", "a-b"), ("b-c", "a"), ("c", "a")] {
        for object in objects(template_as(release, namespace, "shopkeeper", &settings)) {
            let metadata = &object["metadata"];
            let name = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(|part| text(part).to_owned());
            assert!(names.insert(name.clone()), "{name:?} belongs to two releases");
        }
    }
}

#[test]
fn uninstalling_the_definition_of_the_shop_keeps_it_and_with_it_every_shop_and_its_protection() {
    let kept = objects(template("shopkeeper-crds", &[]));
    let kinds: BTreeSet<&str> = kept.iter().map(|object| text(&object["kind"])).collect();
    let wanted = ["CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
    assert_eq!(kinds, wanted.into());
    for object in &kept {
        assert_eq!(object["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "{}", object["kind"]);
    }
}
