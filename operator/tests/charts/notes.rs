//! What Helm prints after an installation: it speaks of what was installed, and what it tells people to type is right.

use std::fs;

use kube::{Resource, ResourceExt};
use shopkeeper_operator::crd::Shop;

use crate::folder::Folder;
use crate::helm::{NAMESPACE, objects, of_kind, one, template, text, yaml};
use crate::release::copy_charts;

/// Helm prints notes of nothing but installations, so a copy of the chart makes an object of them.
const OBJECT: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}
"#;
const MISSING: &str = "The Shop resource is missing: install the chart shopkeeper-crds as well.";
const UNWATCHED: &str = "Nothing watches it yet.";

fn notes(chart: &str, arguments: &[&str]) -> String {
    let folder = Folder::new("notes");
    copy_charts(&folder.0);
    let chart = folder.0.join("charts").join(chart);
    fs::write(chart.join("templates/notes.yaml"), OBJECT).expect("a template");
    let only_them = ["--show-only", "templates/notes.yaml"];
    let objects = objects(template(&chart.to_string_lossy(), &[&only_them[..], arguments].concat()));
    text(&one(&objects, "ConfigMap")["data"]["notes"]).to_owned()
}

/// What is given to a command by `<<END`.
fn shop(notes: &str) -> &str {
    let (_, rest) = notes.split_once(" <<END\n").expect("a Shop");
    rest.split_once("\nEND\n").expect("an END at the beginning of its line, or a shell would look on for it").0
}

#[test]
fn notes_say_whose_shops_are_looked_after_and_how_a_first_one_is_made_there() {
    let cases: [(&[&str], &str, &str, bool); 2] = [
        (&[], "looks after the Shops of all namespaces.", "shop", true),
        (&["--set", "watchNamespaces={oak,elm}"], "looks after the Shops of: oak, elm.", "oak", false),
    ];
    for (settings, scope, namespace, made) in cases {
        let notes = notes("shopkeeper", settings);
        let version = env!("CARGO_PKG_VERSION");
        let installed = format!("Shopkeeper {version} is installed in namespace {NAMESPACE} and {scope}\n");
        assert!(notes.starts_with(&installed), "{notes}");
        let creates = notes.contains(&format!("  kubectl create namespace {namespace}\n"));
        assert_eq!(creates, made, "{notes}");
        for line in [
            format!("helm test shopkeeper --namespace {NAMESPACE}"),
            format!("kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted"),
            format!("kubectl apply --namespace {namespace} --filename - <<END"),
            format!("kubectl wait --namespace {namespace} shop/demo --for=condition=Ready --timeout=10m"),
            format!("kubectl get --namespace {namespace} shops"),
        ] {
            assert!(notes.contains(&format!("  {line}\n")), "`{line}` is not in:\n{notes}");
        }
        let printed = shop(&notes);
        let first: Shop = serde_saphyr::from_str(printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(first.name_any(), "demo");
        let about = yaml(printed);
        assert_eq!(text(&about["apiVersion"]), Shop::api_version(&()));
        assert_eq!(text(&about["kind"]), Shop::kind(&()));
    }
}

#[test]
fn notes_ask_for_the_other_chart_only_where_nobody_knows_shops() {
    assert!(notes("shopkeeper", &[]).contains(MISSING));
    assert!(!notes("shopkeeper", &["--api-versions", "shopkeeper.dev/v1alpha1"]).contains(MISSING));
}

#[test]
fn notes_show_how_to_watch_the_operator_unless_something_does() {
    let printed = notes("shopkeeper", &[]);
    assert!(printed.contains(UNWATCHED), "{printed}");
    let words: Vec<&str> = printed.split_whitespace().collect();
    let settings: Vec<&str> = words.windows(2).filter(|pair| pair[0] == "--set").flatten().copied().collect();
    let made = objects(template("shopkeeper", &settings));
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"] {
        assert!(!of_kind(&made, kind).is_empty(), "{settings:?} make no {kind}");
    }
    for watcher in ["serviceMonitor", "podMonitor", "alerts", "dashboards"] {
        let printed = notes("shopkeeper", &["--set", &format!("metrics.{watcher}.enabled=true")]);
        assert!(!printed.contains(UNWATCHED), "{watcher}:\n{printed}");
    }
}

#[test]
fn notes_of_the_definition_say_that_it_stays() {
    let printed = notes("shopkeeper-crds", &[]);
    let known = "The Shop resource is known now. It stays when this chart is uninstalled";
    assert!(printed.starts_with(known), "{printed}");
}
