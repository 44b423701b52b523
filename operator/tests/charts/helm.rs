//! Helm, and what it renders as values that tests can look into.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The oldest Kubernetes that the chart admits.
const OLDEST: &str = "1.30.0";

/// The namespace that charts are rendered for.
pub const NAMESPACE: &str = "shopkeeper-system";

pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Renders a chart with more arguments for Helm.
pub fn template(chart: &str, arguments: &[&str]) -> Output {
    template_as("shopkeeper", NAMESPACE, chart, arguments)
}

/// The same as a release of another name, in another namespace.
pub fn template_as(release: &str, namespace: &str, chart: &str, arguments: &[&str]) -> Output {
    let mut helm = Command::new("helm");
    helm.args(["template", release, "--namespace", namespace, "--kube-version", OLDEST])
        .arg(project().join("charts").join(chart));
    helm.args(arguments).output().expect("helm is on the PATH: `cargo xtask up` makes it, `cargo xtask env` names it")
}

/// The objects of the operator's chart with one of the files in `values`.
pub fn rendered(values: Option<&str>) -> Vec<Value> {
    let file = values.map(|name| project().join("operator/tests/charts/values").join(format!("{name}.yaml")));
    let file = file.as_ref().map(|path| path.to_string_lossy());
    let arguments: Vec<&str> = file.iter().flat_map(|path| ["--values", path]).collect();
    objects(template("shopkeeper", &arguments))
}

/// What was rendered, and nothing else than objects.
pub fn objects(output: Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The only object of a kind.
pub fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{} objects of kind {kind}", found.len());
    found[0]
}

pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether an object with these labels is selected.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}
