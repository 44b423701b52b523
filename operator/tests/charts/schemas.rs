//! The JSON schemas that kubeconform reads: of everything that an API server knows by itself, from what it publishes, and of the
//! kinds that definitions add.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use http::Request;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::helm::{items, text};

/// Where kubeconform finds the schema of a kind. Where there is no group, it takes the version for one.
const FILE: &str = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json";
/// What every object says about itself.
const METADATA: &str = "v1_v1.json#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schemas of everything that is shipped or made.
pub struct Schemas(Folder);

impl Schemas {
    /// Asks an API server, and adds definitions.
    pub async fn new(folder: Folder, server: Config, definitions: &[Value]) -> Self {
        let schemas = Self(folder);
        let client = Client::try_from(server).expect("a client");
        let published = ask(&client, "/openapi/v3").await;
        for (path, document) in published["paths"].as_object().expect("paths") {
            let (group, version) = match path.split('/').collect::<Vec<_>>()[..] {
                ["api", version] => (version, version),
                ["apis", group, version] => (group, version),
                _ => continue,
            };
            schemas.add_group(group, version, ask(&client, text(&document["serverRelativeURL"])).await);
        }
        for definition in definitions {
            schemas.add_kind(definition);
        }
        schemas
    }

    /// The kinds of one version of a group: a document with all of them, and a file for each that leads there.
    fn add_group(&self, group: &str, version: &str, mut document: Value) {
        let document_name = format!("{group}_{version}.json");
        for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
            close(schema);
            if let Some(kind) = schema["x-kubernetes-group-version-kind"][0]["kind"].as_str() {
                let there = json!({"$ref": format!("{document_name}#/components/schemas/{name}")});
                self.write(&format!("{group}_{version}_{}.json", kind.to_lowercase()), &there);
            }
        }
        self.write(&document_name, &document);
    }

    /// What a `CustomResourceDefinition` defines.
    fn add_kind(&self, definition: &Value) {
        let (group, kind) = (text(&definition["spec"]["group"]), text(&definition["spec"]["names"]["kind"]));
        for version in items(&definition["spec"]["versions"]) {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            // The API server adds them where they are missing.
            for field in ["apiVersion", "kind"] {
                schema["properties"][field] = json!({"type": "string"});
            }
            schema["properties"]["metadata"] = json!({"$ref": METADATA});
            close(&mut schema);
            self.write(&format!("{group}_{}_{}.json", text(&version["name"]), kind.to_lowercase()), &schema);
        }
    }

    fn write(&self, file: &str, schema: &Value) {
        fs::write(self.0.0.join(file), schema.to_string()).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// What kubeconform says to files, and folders with files.
    pub fn judge(&self, files: &[&Path]) -> Output {
        let mut kubeconform = Command::new("kubeconform");
        kubeconform.args(["-strict", "-schema-location"]).arg(self.0.0.join(FILE)).args(files);
        kubeconform.output().expect("kubeconform is on the PATH: `cargo xtask test` makes it")
    }

    /// What it says to a text.
    pub fn judge_text(&self, text: &str) -> Output {
        let file = self.0.0.join("text.yaml");
        fs::write(&file, text).expect("a file");
        self.judge(&[&file])
    }
}

async fn ask(client: &Client, path: &str) -> Value {
    let question = Request::get(path).body(Vec::new()).expect("a request");
    client.request(question).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A field that a schema does not know is a fault, as for an API server that is asked to be strict.
fn close(schema: &mut Value) {
    let Some(words) = schema.as_object_mut() else { return };
    for nested in ["items", "additionalProperties"] {
        words.get_mut(nested).into_iter().for_each(close);
    }
    let fields = words.get_mut("properties").and_then(Value::as_object_mut);
    let Some(fields) = fields else { return };
    fields.values_mut().for_each(close);
    let opens = ["additionalProperties", "x-kubernetes-preserve-unknown-fields"];
    if !opens.iter().any(|word| words.contains_key(*word)) {
        words.insert("additionalProperties".to_owned(), json!(false));
    }
}
