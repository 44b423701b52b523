//! kubeconform, strict, over everything that is shipped or made: no field that nobody knows, no value of another type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::{env, fs};

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::helm::{objects, project, read, rendered, template, yaml};
use crate::scene::config;
use crate::schemas::Schemas;

/// Names the folder with definitions of other operators' kinds.
const DEFINITIONS: &str = "SHOP_TEST_DEFINITIONS";
/// Names the file for those who do not use Helm.
const INSTALL: &str = "SHOP_TEST_INSTALL";
/// The files in `values`, and the chart's own values.
const VALUES: [Option<&str>; 4] = [None, Some("monitored"), Some("namespaced"), Some("placed")];
/// What is not rendered here: what the operator makes, what people copy, and the definition of the Shop.
const FOLDERS: [&str; 3] = ["operator/tests/golden", "examples", "crds"];

fn named(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask test`, or name what it left in ~/.cache/shopkeeper")
    })
}

/// The schemas of the API server and of all definitions, in a folder of this name.
async fn schemas(name: &str) -> Schemas {
    let mut definitions = vec![yaml(&read("crds/shops.shopkeeper.dev.yaml"))];
    for file in files(&named(DEFINITIONS)) {
        definitions.push(yaml(&fs::read_to_string(file).expect("a definition")));
    }
    Schemas::new(Folder::new(name), config().await, &definitions).await
}

/// Every file with YAML in a folder and in the folders there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|words| String::from_utf8_lossy(words)).concat()
}

/// What both charts make of each of their values.
fn charts() -> Vec<Value> {
    let operator = VALUES.into_iter().flat_map(rendered);
    operator.chain(objects(template("shopkeeper-crds", &[]))).collect()
}

/// Objects as one text.
fn stream<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    objects.into_iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test]
async fn every_manifest_that_is_shipped_or_made_is_in_the_words_of_those_who_read_it() {
    let schemas = schemas("conform").await;
    let folders = FOLDERS.map(|folder| project().join(folder));
    let install = named(INSTALL);
    let paths: Vec<&Path> = folders.iter().chain([&install]).map(PathBuf::as_path).collect();
    for output in [schemas.judge(&paths), schemas.judge_text(&stream(&charts()))] {
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_found_in_every_kind() {
    let mut kinds = BTreeMap::new();
    for file in FOLDERS.iter().flat_map(|folder| files(&project().join(folder))) {
        let text = fs::read_to_string(&file).expect("a manifest");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let objects = documents.into_iter().filter(|document| !document.is_null());
        kinds.extend(objects.map(|object| (object["kind"].to_string(), object)));
    }
    kinds.extend(charts().into_iter().map(|object| (object["kind"].to_string(), object)));
    for object in kinds.values_mut() {
        let part = if object["spec"].is_object() { &mut object["spec"] } else { object };
        part["misspelt"] = json!(true);
    }

    let answer = said(&schemas("misspelt").await.judge_text(&stream(kinds.values())));
    let found = answer.lines().filter(|line| line.contains("is invalid") && line.contains("misspelt")).count();
    assert_eq!(found, kinds.len(), "{:?}\n{answer}", kinds.keys());
}
