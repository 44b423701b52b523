//! The network policies of a Shop, judged by somebody else's reading of them: cyclonus (github.com/mattfenwick/cyclonus), which
//! `cargo xtask test` builds and names in the environment.

#[path = "charts/folder.rs"]
mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shopkeeper_operator::names;
use shopkeeper_operator::render::{self, render};
use shopkeeper_operator::settings::Settings;

use self::folder::Folder;

const NAMESPACE: &str = "oak";
const SHOP: &str = "apiVersion: shopkeeper.dev/v1alpha1\nkind: Shop\nmetadata: {name: acorn, namespace: oak}\n";
const NOTHING: &str = "spec: {}\n";
const CANARY_OF_TWO: &str =
    "spec: {services: {product: {canary: {version: 2.0.0, analysis: {}}}, cart: {canary: {version: 2.0.0}}}}\n";

const OPERATOR: [(&str, &str); 2] =
    [("app.kubernetes.io/name", "shopkeeper"), ("app.kubernetes.io/component", "operator")];
const SERVICES: [&str; 7] = ["user", "product", "cart", "order", "payment", "delivery", "docs"];
const MIGRATIONS: [&str; 5] =
    ["user-migrate", "product-migrate", "order-migrate", "payment-migrate", "delivery-migrate"];
const STORES: [&str; 5] = ["postgres", "mongodb", "redis", "rabbitmq", "traces"];
const PORTS: [u16; 10] = [53, 4317, 5432, 5671, 5672, 6379, 8080, 8081, 9090, 27017];

/// Some who reach some on a port.
type Way = (&'static [&'static str], &'static [&'static str], u16);

/// Every way there is; whoever is not named reaches nobody.
const WAYS: &[Way] = &[
    (&["traefik"], &["user", "product", "cart", "order", "docs"], 8080),
    (&["prometheus"], &SERVICES, 8081),
    (&["docs"], &["user", "product", "cart", "order"], 8081),
    (&["cart"], &["product", "order"], 9090),
    (&["order"], &["product"], 9090),
    (&["user", "user-migrate"], &["mongodb"], 27017),
    (&["user", "user-migrate", "cart"], &["redis"], 6379),
    (&["product", "product-migrate", "order", "order-migrate"], &["postgres"], 5432),
    (&["payment", "payment-migrate", "delivery", "delivery-migrate"], &["postgres"], 5432),
    (&["product", "product-migrate", "order", "order-migrate", "cart"], &["rabbitmq"], 5671),
    (&["payment", "payment-migrate", "delivery", "delivery-migrate"], &["rabbitmq"], 5671),
    (&SERVICES, &["traces"], 4317),
    (&MIGRATIONS, &["traces"], 4317),
    (&SERVICES, &["dns"], 53),
    (&MIGRATIONS, &["dns"], 53),
];

const CANARIES: [&str; 2] = ["product-canary", "cart-canary"];

/// Those that canaries have besides.
const WAYS_OF_CANARIES: &[Way] = &[
    (&["traefik"], &CANARIES, 8080),
    (&["prometheus"], &CANARIES, 8081),
    // Where an analysis decides.
    (&["operator"], &["product", "product-canary"], 8081),
    (&["cart", "cart-canary", "order"], &["product-canary"], 9090),
    (&["cart-canary"], &["product", "order"], 9090),
    (&["product-canary"], &["postgres"], 5432),
    (&["cart-canary"], &["redis"], 6379),
    (&CANARIES, &["rabbitmq"], 5671),
    (&CANARIES, &["traces"], 4317),
    (&CANARIES, &["dns"], 53),
];

#[test]
fn pods_reach_each_other_along_the_edges_of_the_architecture_and_nobody_else() {
    check("plain", NOTHING, &[], WAYS);
}

#[test]
fn canaries_reach_and_are_reached_as_what_they_are_canaries_of() {
    check("canaries", CANARY_OF_TWO, &CANARIES, &[WAYS, WAYS_OF_CANARIES].concat());
}

fn check(name: &str, spec: &str, canaries: &[&str], ways: &[Way]) {
    let folder = Folder::new(&format!("policies-{name}"));
    let policies = folder.0.join("policies");
    fs::create_dir(&policies).expect("a folder");
    for object in
        render(&render::parse(&[SHOP, spec].concat()).expect("a Shop"), &Settings::default()).expect("a valid Shop")
    {
        if object.kind == "NetworkPolicy" {
            fs::write(policies.join(format!("{}.yaml", object.name)), object.yaml).expect("a file");
        }
    }
    let asked = questions(canaries);
    let traffic: Vec<&Value> = asked.iter().map(|(_, traffic)| traffic).collect();
    let file = folder.0.join("traffic.json");
    fs::write(&file, serde_json::to_string(&traffic).expect("JSON")).expect("a file");

    let answers = ask(&policies, &file);
    assert_eq!(answers.len(), asked.len(), "an answer to each question");
    let allowed: BTreeSet<&String> =
        asked.iter().zip(answers).filter_map(|((way, _), allowed)| allowed.then_some(way)).collect();
    let wanted: BTreeSet<String> = ways
        .iter()
        .flat_map(|(from, to, port)| from.iter().flat_map(move |from| to.iter().map(move |to| way(from, to, *port))))
        .collect();
    assert_eq!(allowed, wanted.iter().collect());
}

fn way(from: &str, to: &str, port: u16) -> String {
    format!("{from} -> {to}:{port}")
}

/// Every pair of which one belongs to the Shop, on every port.
fn questions<'a>(canaries: &'a [&'a str]) -> Vec<(String, Value)> {
    let names = SERVICES.iter().chain(&MIGRATIONS).chain(&STORES).chain(canaries);
    let inside = names.map(|name| (*name, pod_of_the_shop(name)));
    let outside = [
        ("traefik", pod("gateway", &[("app.kubernetes.io/name", "traefik")])),
        ("prometheus", pod("watchers", &[("app.kubernetes.io/name", "prometheus")])),
        ("operator", pod("shopkeeper-system", &OPERATOR)),
        ("dns", pod("kube-system", &[("k8s-app", "kube-dns")])),
        ("stranger", pod(NAMESPACE, &[("app.kubernetes.io/name", "shop")])),
        ("foreigner", pod("elsewhere", &[("app.kubernetes.io/component", "order")])),
        ("internet", json!({"IP": "192.0.2.7"})),
    ];
    let everybody: Vec<(&str, Value, bool)> = inside
        .map(|(name, pod)| (name, pod, true))
        .chain(outside.into_iter().map(|(name, pod)| (name, pod, false)))
        .collect();
    let mut questions = Vec::new();
    for (from, source, of_shop) in &everybody {
        for (to, destination, to_shop) in &everybody {
            if from == to || !(*of_shop || *to_shop) {
                continue;
            }
            for port in PORTS {
                let protocol = if port == 53 { "UDP" } else { "TCP" };
                let traffic = json!({
                    "Source": source, "Destination": destination, "ResolvedPort": port, "Protocol": protocol,
                });
                questions.push((way(from, to, port), traffic));
            }
        }
    }
    questions
}

fn pod_of_the_shop(component: &str) -> Value {
    peer(NAMESPACE, &names::labels("acorn", component, "1"))
}

fn pod(namespace: &str, labels: &[(&str, &str)]) -> Value {
    peer(namespace, &labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn peer(namespace: &str, labels: &BTreeMap<String, String>) -> Value {
    let namespace_labels = json!({"kubernetes.io/metadata.name": namespace});
    json!({
        "IP": "10.0.0.1",
        "Internal": {"Namespace": namespace, "NamespaceLabels": namespace_labels, "PodLabels": labels},
    })
}

/// One answer a question, in their order.
fn ask(policies: &Path, traffic: &Path) -> Vec<bool> {
    let program =
        std::env::var_os("SHOP_TEST_CYCLONUS").expect("SHOP_TEST_CYCLONUS is not set: run `cargo xtask test`");
    let mut command = Command::new(program);
    command.args(["analyze", "--mode", "query-traffic", "--policy-path"]).arg(policies);
    let output = command.arg("--traffic-path").arg(traffic).output().expect("cyclonus runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().filter(|line| line.contains("IS ALLOWED?")).map(|line| line.to_lowercase().contains("true")).collect()
}
