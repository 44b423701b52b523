//! Monitors, alerts and dashboards: absent unless asked for, and made so that what reads them finds what it needs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::helm::{items, objects, of_kind, one, project, read, rendered, selects, template, text, yaml};

#[test]
fn nothing_of_monitoring_is_made_unless_asked_for() {
    for object in rendered(None) {
        assert!(!text(&object["apiVersion"]).starts_with("monitoring.coreos.com/"), "{object}");
        assert_ne!(object["kind"], "ConfigMap");
    }
}

#[test]
fn the_service_monitor_finds_the_operators_service() {
    let objects = rendered(Some("monitored"));
    let (monitor, service) = (one(&objects, "ServiceMonitor"), one(&objects, "Service"));
    assert!(selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
}

#[test]
fn the_pod_monitor_finds_the_pods_of_services_and_no_store() {
    let objects = rendered(Some("monitored"));
    let spec = &one(&objects, "PodMonitor")["spec"];
    assert_eq!(spec["namespaceSelector"]["any"], true);
    assert_eq!(spec["podMetricsEndpoints"][0]["interval"], "15s");
    let port = text(&spec["podMetricsEndpoints"][0]["port"]);
    let scraped = |file: &str| {
        let object = yaml(&read(&format!("operator/tests/golden/acorn/{file}.yaml")));
        let template = &object["spec"]["template"];
        let mut ports = items(&template["spec"]["containers"]).flat_map(|container| items(&container["ports"]));
        let has_port = ports.any(|found| found["name"] == port);
        let labels = &template["metadata"]["labels"];
        let left_out = items(&spec["selector"]["matchExpressions"]).any(|rule| {
            rule["operator"] == "NotIn" && items(&rule["values"]).any(|value| *value == labels[text(&rule["key"])])
        });
        selects(&spec["selector"]["matchLabels"], labels) && has_port && !left_out
    };
    for service in ["user", "product", "cart", "order", "payment", "delivery", "docs"] {
        assert!(scraped(&format!("deployment-acorn-{service}")), "{service} is not scraped");
    }
    assert!(!scraped("deployment-acorn-traces"), "the trace store is scraped");
    for store in ["postgres", "mongodb", "redis", "rabbitmq"] {
        assert!(!scraped(&format!("statefulset-acorn-{store}")), "{store} is scraped");
    }
}

#[test]
fn monitors_look_only_where_the_operator_does() {
    let settings = ["--set", "metrics.podMonitor.enabled=true,watchNamespaces={oak}"];
    let objects = objects(template("shopkeeper", &settings));
    assert_eq!(one(&objects, "PodMonitor")["spec"]["namespaceSelector"], json!({"matchNames": ["oak"]}));
}

#[test]
fn alerts_are_those_of_the_file_with_links_to_where_runbooks_are_read() {
    let objects = rendered(Some("monitored"));
    let rules = &one(&objects, "PrometheusRule")["spec"];
    let file = read("charts/shopkeeper/files/alerts.yaml");
    assert_eq!(
        rules["groups"],
        yaml(&file.replace("docs/runbooks.md#", "https://wiki.example.com/runbooks#"))["groups"]
    );
}

fn dashboards() -> Vec<Value> {
    let objects = rendered(Some("monitored"));
    let maps = of_kind(&objects, "ConfigMap");
    assert_eq!(maps.len(), 5);
    maps.iter()
        .map(|map| {
            assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1", "the sidecar does not find it");
            assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Shopkeeper");
            let files = map["data"].as_object().expect("files");
            assert_eq!(files.len(), 1);
            let (name, json) = files.iter().next().expect("a file");
            assert_eq!(name.rsplit('.').next(), Some("json"), "{name}");
            serde_json::from_str(text(json)).unwrap_or_else(|error| panic!("{name}: {error}"))
        })
        .collect()
}

#[test]
fn every_dashboard_can_be_read_with_any_data_source() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards() {
        let title = text(&dashboard["title"]);
        assert!(uids.insert(text(&dashboard["uid"]).to_owned()), "{title}: its uid is taken");
        let variables: BTreeSet<&str> =
            items(&dashboard["templating"]["list"]).map(|variable| text(&variable["name"])).collect();
        assert!(variables.contains("datasource"), "{title} has no data source to choose");
        for panel in items(&dashboard["panels"]) {
            let place = format!("{title}: {}", text(&panel["title"]));
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{place} has no unit");
            assert!(items(&panel["targets"]).next().is_some(), "{place} is empty");
            for target in items(&panel["targets"]) {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
                for used in text(&target["expr"]).split("\"$").skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(variables.contains(used), "{place} uses ${used}, which nobody can choose");
                }
            }
        }
    }
}

#[test]
fn panels_lie_beside_each_other() {
    for dashboard in dashboards() {
        let mut places = BTreeSet::new();
        for panel in items(&dashboard["panels"]) {
            let side = |name: &str| panel["gridPos"][name].as_i64().expect("a number");
            assert!(places.insert((side("x"), side("y"))), "two panels in one place: {}", panel["title"]);
            assert!(side("x") + side("w") <= 24 && side("x") % side("w") == 0 && side("y") % side("h") == 0);
        }
    }
}

/// Runs promtool in the project's folder, with `input` in a file of its own.
fn promtool(arguments: &[&str], input: Option<&str>) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).current_dir(project());
    let _until_it_was_read = input.map(|input| {
        let folder = Folder::new("queries");
        let file = folder.0.join("queries.yaml");
        fs::write(&file, input).expect("a file");
        promtool.arg(file);
        folder
    });
    let output = promtool.output().expect("promtool is on the PATH: `cargo xtask test` makes it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn prometheus_reads_the_alerts_and_every_one_fires_when_it_should() {
    promtool(&["check", "rules", "--lint-fatal", "charts/shopkeeper/files/alerts.yaml"], None);
    promtool(&["test", "rules", "dev/monitoring/alerts.test.yaml"], None);
}

#[test]
fn prometheus_reads_the_query_of_every_panel() {
    let mut rules = Vec::new();
    for dashboard in dashboards() {
        for target in items(&dashboard["panels"]).flat_map(|panel| items(&panel["targets"])) {
            // What Grafana fills in itself.
            let query = text(&target["expr"]).replace("$__rate_interval", "5m");
            rules.push(json!({"record": format!("query:{}", rules.len()), "expr": query}));
        }
    }
    assert!(rules.len() > 30, "only {} queries were found", rules.len());
    promtool(&["check", "rules"], Some(&json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()));
}
