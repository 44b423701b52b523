//! What is asked of other operators is in their words: the objects of a Shop, held against the definitions that those
//! operators publish. `cargo xtask test` downloads the definitions and names their folder in the environment.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use shopkeeper_operator::render::{self, render};
use shopkeeper_operator::settings::Settings;

const FOLDER: &str = "SHOP_TEST_DEFINITIONS";

fn definition(file: &str) -> Value {
    let folder = env::var_os(FOLDER).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| {
        panic!("run `cargo xtask test`, or name a folder with definitions in {FOLDER}: ~/.cache/shopkeeper/definitions")
    });
    let text = fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What an object has that its schema does not know, or lacks that the schema wants.
fn faults(at: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(required) && schema["properties"][required]["default"].is_null() {
                    found.push(format!("{at}.{required} is missing"));
                }
            }
            for (name, field) in fields {
                match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                    Some(known) => faults(&format!("{at}.{name}"), known, field, found),
                    None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                    None => found.push(format!("{at}.{name} is not known")),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| faults(&format!("{at}[]"), &schema["items"], item, found)),
        scalar => {
            if !fits(schema, scalar) {
                found.push(format!("{at} is {scalar}, wanted is {}", schema["type"]));
            }
        }
    }
}

fn fits(schema: &Value, scalar: &Value) -> bool {
    let type_fits = match schema["type"].as_str() {
        Some("string") => scalar.is_string(),
        Some("integer") => scalar.is_i64(),
        Some("boolean") => scalar.is_boolean(),
        _ => schema["x-kubernetes-int-or-string"] == true && (scalar.is_string() || scalar.is_i64()),
    };
    let above = |limit: &Value| limit.as_i64().zip(scalar.as_i64()).is_none_or(|(limit, value)| value >= limit);
    let below = |limit: &Value| limit.as_i64().zip(scalar.as_i64()).is_none_or(|(limit, value)| value <= limit);
    let listed = schema["enum"].as_array().is_none_or(|known| known.contains(scalar));
    type_fits && listed && above(&schema["minimum"]) && below(&schema["maximum"])
}

#[track_caller]
fn check(kind: &str, version: &str, file: &str) {
    let definition = definition(file);
    let versions = definition["spec"]["versions"].as_array().expect("versions");
    let schema = versions.iter().find(|known| known["name"] == version && known["served"] == true);
    let schema = &schema.unwrap_or_else(|| panic!("{file} has no {version}"))["schema"]["openAPIV3Schema"];
    assert_eq!(definition["spec"]["names"]["kind"], kind);

    let shop = render::parse(&fixture("beech.yaml")).expect("a Shop");
    let objects = render(&shop, &Settings::default()).expect("a valid Shop");
    let object = objects.iter().find(|object| object.kind == kind).unwrap_or_else(|| panic!("no {kind} is made"));
    let object: Value = serde_saphyr::from_str(&object.yaml).expect("YAML");
    let group = definition["spec"]["group"].as_str().expect("a group");
    assert_eq!(object["apiVersion"], format!("{group}/{version}"));
    let mut found = Vec::new();
    faults("spec", &schema["properties"]["spec"], &object["spec"], &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn cloud_native_pg_knows_every_field_of_the_cluster_that_it_is_asked_for() {
    check("Cluster", "v1", "postgresql.cnpg.io_clusters.yaml");
}

#[test]
fn the_gateway_api_knows_every_field_of_the_route_that_it_is_asked_for() {
    check("HTTPRoute", "v1", "gateway.networking.k8s.io_httproutes.yaml");
}

#[test]
fn the_rabbitmq_cluster_operator_knows_every_field_of_the_cluster_that_it_is_asked_for() {
    check("RabbitmqCluster", "v1beta1", "rabbitmq.com_rabbitmqclusters.yaml");
}
