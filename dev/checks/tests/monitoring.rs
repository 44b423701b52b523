//! Alerts and dashboards speak of metrics that are declared; every alert has its runbook, and fires in its test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// What Prometheus makes itself.
const OF_PROMETHEUS: &str = "up";
/// Labels of whatever is scraped: who, and for a histogram which bucket.
const OF_TARGETS: [&str; 7] = ["namespace", "shop", "component", "service", "job", "pod", "le"];
/// Words of the query language that stand where a metric could.
const WORDS: [&str; 11] =
    ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"];
/// Those of them that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What a query speaks of.
#[derive(Debug, Default, PartialEq)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every name under which Prometheus keeps something of ours, with its own labels.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let schema = yaml("crates/telemetry/schema.yaml");
    let services = schema["metrics"].as_object().expect("metrics by name");
    let mut declared = BTreeMap::new();
    for (name, metric) in services {
        let labels: BTreeSet<String> = items(&metric["labels"]).map(|label| text(label).to_owned()).collect();
        declared.extend(samples(name, text(&metric["type"])).map(|sample| (sample, labels.clone())));
    }
    let labels: BTreeSet<String> = ["reason", "shop_namespace", "shop", "phase"].map(str::to_owned).into();
    for (name, kind) in of_the_operator() {
        declared.extend(samples(&name, kind).map(|sample| (sample, labels.clone())));
    }
    declared
}

fn samples(name: &str, kind: &str) -> impl Iterator<Item = String> {
    let endings: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{name} is a {other}"),
    };
    endings.iter().map(move |ending| format!("{name}{ending}"))
}

/// Names and types. The operator has no schema: its few metrics are read from where they are registered.
fn of_the_operator() -> Vec<(String, &'static str)> {
    let code = read("operator/src/metrics.rs");
    let calls: Vec<&str> = code.split("registry.register(\"").skip(1).collect();
    assert!(calls.len() > 2, "the operator registers its metrics in a way that this test does not see");
    let metric = |call: &str| {
        let name = format!("shopkeeper_{}", call.split('"').next().unwrap_or_default());
        let kind = match name.rsplit('_').next() {
            Some("seconds") => "histogram",
            Some("phase") => "gauge",
            _ => "counter",
        };
        (name, kind)
    };
    calls.into_iter().map(metric).collect()
}

/// The labels in a selector or in a list.
fn labels(list: &str) -> impl Iterator<Item = String> {
    list.split(',').filter_map(|label| label.split(['=', '!']).next()).map(|label| label.trim().to_owned())
}

/// Reads a query without understanding it: functions and aggregations are what a parenthesis follows.
fn named(query: &str) -> Named {
    let mut named = Named::default();
    let mut labels_follow = false;
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '"' => Some('"'),
            '{' => Some('}'),
            '[' => Some(']'),
            '(' if labels_follow => Some(')'),
            _ => None,
        };
        if let Some(closing) = closing {
            let (inside, after) = rest[1..].split_once(closing).unwrap_or((&rest[1..], ""));
            named.labels.extend(labels(inside).filter(|label| ['}', ')'].contains(&closing) && !label.is_empty()));
            (rest, labels_follow) = (after, false);
        } else if first.is_alphanumeric() {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            labels_follow = BEFORE_LABELS.contains(&word);
            let is_metric = first.is_alphabetic() && !WORDS.contains(&word) && !rest.starts_with('(');
            // `sum by (...)`: the list of labels may stand before what is summed.
            let is_aggregation = BEFORE_LABELS.iter().any(|before| rest.starts_with(&format!("{before} ")));
            if is_metric && !is_aggregation {
                named.metrics.insert(word.to_owned());
            }
        } else {
            labels_follow &= first.is_whitespace();
            rest = &rest[first.len_utf8()..];
        }
    }
    named
}

fn alerts() -> Vec<Value> {
    let file = yaml("charts/shopkeeper/files/alerts.yaml");
    items(&file["groups"]).flat_map(|group| items(&group["rules"])).cloned().collect()
}

/// Every panel of every dashboard, with the dashboard's name.
fn panels() -> Vec<(String, Value)> {
    let file = yaml("charts/shopkeeper/files/dashboards.yaml");
    let dashboards = file.as_object().expect("dashboards by name");
    dashboards
        .iter()
        .flat_map(|(name, dashboard)| items(&dashboard["panels"]).map(|panel| (name.clone(), panel.clone())))
        .collect()
}

#[test]
fn a_query_is_read_for_its_metrics_and_labels_and_nothing_else() {
    let query =
        r#"sum by (shop, le) (rate(a_total{x=~"b.*",y!="c"}[5m])) / ignoring (le) group_left sum(d offset 10m) > 1"#;
    let wanted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named(query), Named { metrics: wanted(&["a_total", "d"]), labels: wanted(&["shop", "le", "x", "y"]) });
    let renamed = r#"max by (shop) (label_replace(a{x="b"}, "shop", "$1", "y", "(.+)"))"#;
    assert_eq!(named(renamed), Named { metrics: wanted(&["a"]), labels: wanted(&["shop", "x"]) });
}

#[test]
fn alerts_and_dashboards_speak_only_of_metrics_and_labels_that_are_declared() {
    let declared = declared();
    let mut queries: Vec<(String, String)> =
        alerts().iter().map(|alert| (text(&alert["alert"]).to_owned(), text(&alert["expr"]).to_owned())).collect();
    for (dashboard, panel) in panels() {
        let place = format!("{dashboard}: {}", text(&panel["title"]));
        queries.extend(items(&panel["queries"]).map(|query| (place.clone(), text(&query["expr"]).to_owned())));
    }
    for (place, query) in queries {
        let named = named(&query);
        assert!(!named.metrics.is_empty(), "{place}: no metric in `{query}`");
        let mut known: BTreeSet<&str> = OF_TARGETS.into();
        for name in named.metrics.iter().filter(|name| *name != OF_PROMETHEUS) {
            let labels = declared.get(name).unwrap_or_else(|| panic!("{place}: nothing makes {name}"));
            known.extend(labels.iter().map(String::as_str));
        }
        for label in &named.labels {
            assert!(known.contains(label.as_str()), "{place}: nothing of `{query}` has a label {label}");
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_has_a_runbook_of_its_own() {
    let runbooks = read("docs/runbooks.md");
    let sections: BTreeSet<String> =
        runbooks.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    let mut linked = BTreeSet::new();
    for alert in alerts() {
        let name = text(&alert["alert"]);
        assert!(["critical", "warning"].contains(&text(&alert["labels"]["severity"])), "{name} has no severity");
        assert!(!text(&alert["annotations"]["summary"]).is_empty(), "{name} has no summary");
        let own = name.to_lowercase();
        assert_eq!(text(&alert["annotations"]["runbook_url"]), format!("docs/runbooks.md#{own}"), "{name}");
        assert!(sections.contains(&own), "docs/runbooks.md has no section for {name}");
        linked.insert(own);
    }
    assert_eq!(sections, linked, "a section that no alert links to");
}

#[test]
fn every_alert_fires_in_its_test_and_is_quiet_in_a_healthy_shop() {
    let file = yaml("dev/monitoring/alerts.test.yaml");
    let (mut fired, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in items(&file["tests"]).flat_map(|test| items(&test["alert_rule_test"])) {
        let fires = items(&case["exp_alerts"]).next().is_some();
        if fires { &mut fired } else { &mut quiet }.insert(text(&case["alertname"]).to_owned());
    }
    let all: BTreeSet<String> = alerts().iter().map(|alert| text(&alert["alert"]).to_owned()).collect();
    assert_eq!(fired, all, "dev/monitoring/alerts.test.yaml does not fire exactly the alerts there are");
    assert_eq!(quiet, all, "the healthy Shop in dev/monitoring/alerts.test.yaml does not name every alert");
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let mut titles = BTreeSet::new();
    for (dashboard, panel) in panels() {
        let title = text(&panel["title"]).to_owned();
        for field in ["title", "help", "unit"] {
            assert!(!text(&panel[field]).is_empty(), "{dashboard}: a panel {title} without `{field}`");
        }
        assert!(
            items(&panel["queries"]).all(|query| !text(&query["legend"]).is_empty()),
            "{dashboard}: {title}: a line without a legend"
        );
        assert!(titles.insert((dashboard.clone(), title.clone())), "{dashboard} has two panels {title}");
    }
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let queries: Vec<Value> = panels().iter().flat_map(|(_, panel)| items(&panel["queries"])).cloned().collect();
    let shown: BTreeSet<String> = queries.iter().flat_map(|query| named(text(&query["expr"])).metrics).collect();
    let schema = yaml("crates/telemetry/schema.yaml");
    let of_services = schema["metrics"].as_object().expect("metrics by name");
    let of_services = of_services.iter().map(|(name, metric)| (name.clone(), text(&metric["type"])));
    for (name, kind) in of_services.chain(of_the_operator()) {
        assert!(samples(&name, kind).any(|sample| shown.contains(&sample)), "no panel shows {name}");
    }
}
