//! Merging OpenAPI documents. No IO.
//!
//! Paths of different services do not meet. Components may: equal ones are one component, and of different ones with the
//! same name the later service's is renamed, with everything that refers to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

const COMPONENTS: &str = "#/components/";
const SECURITY_SCHEMES: &str = "securitySchemes";
/// The one security scheme: an access token of the user service.
const BEARER: &str = "bearer";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A service's document, or `None` while it has not been seen.
pub type Chapter<'a> = (&'a str, Option<Value>);

/// A component's section and name, for instance `schemas` and `Cart`.
type Key = (String, String);

/// One document of all `chapters`, in their order.
#[must_use]
pub fn merge<'a>(chapters: impl IntoIterator<Item = Chapter<'a>>, version: &str) -> Value {
    let mut merged = Merged::default();
    for (service, document) in chapters {
        match document {
            Some(document) => merged.add(service, document),
            None => merged.unavailable.push(service.to_owned()),
        }
    }
    merged.into_document(version)
}

#[derive(Default)]
struct Merged {
    paths: Map<String, Value>,
    components: BTreeMap<Key, Value>,
    tags: Vec<Value>,
    unavailable: Vec<String>,
}

impl Merged {
    fn add(&mut self, service: &str, mut document: Value) {
        let own = components_of(&mut document);
        let renames = self.renames(service, &own);
        let references = renames.iter().map(|(old, new)| (reference(old), reference(new))).collect();
        for (key, mut component) in own {
            redirect(&mut component, &references);
            let key = renames.get(&key).cloned().unwrap_or(key);
            self.components.entry(key).or_insert(component);
        }

        let tag = capitalised(service);
        let default_security = document.get("security").cloned();
        for (path, mut item) in take_object(&mut document, "paths") {
            redirect(&mut item, &references);
            each_operation(&mut item, |operation| claim(operation, service, &tag, default_security.as_ref()));
            let here = self.paths.entry(path).or_insert_with(|| json!({}));
            if let (Value::Object(here), Value::Object(item)) = (here, item) {
                for (name, value) in item {
                    here.entry(name).or_insert(value);
                }
            }
        }
        self.tags.push(json!({ "name": tag }));
    }

    /// New names for those components of `own` that would hide a different one. What refers to a renamed component is
    /// different too, even when it reads the same.
    fn renames(&self, service: &str, own: &BTreeMap<Key, Value>) -> BTreeMap<Key, Key> {
        let taken = |key: &Key| self.components.contains_key(key) || own.contains_key(key);
        let mut renames = BTreeMap::new();
        loop {
            let references: BTreeSet<String> = renames.keys().map(reference).collect();
            let clash = own.iter().find(|(key, component)| {
                let differs = |other: &Value| other != *component || mentions(component, &references);
                !renames.contains_key(*key) && self.components.get(*key).is_some_and(differs)
            });
            let Some((key, _)) = clash else { return renames };
            let mut new = (key.0.clone(), format!("{}{}", capitalised(service), key.1));
            while taken(&new) {
                new.1.push('_');
            }
            renames.insert(key.clone(), new);
        }
    }

    fn into_document(self, version: &str) -> Value {
        let Self { paths, components, tags, unavailable } = self;
        let mut sections = Map::new();
        for ((section, name), component) in components {
            let section = sections.entry(section).or_insert_with(|| json!({}));
            section[name] = component;
        }
        let scheme = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                             "description": "The accessToken of POST /api/v1/auth/login" });
        sections.insert(SECURITY_SCHEMES.to_owned(), json!({ BEARER: scheme }));
        json!({
            "openapi": "3.1.0",
            "info": { "title": "Shopkeeper", "version": version },
            "servers": [{ "url": "/" }],
            "tags": tags,
            "paths": paths,
            "components": sections,
            "x-unavailable": unavailable,
        })
    }
}

/// Everything under `components` but the security schemes, which [`claim`] replaces.
fn components_of(document: &mut Value) -> BTreeMap<Key, Value> {
    let mut found = BTreeMap::new();
    for (section, members) in take_object(document, "components") {
        if section == SECURITY_SCHEMES {
            continue;
        }
        if let Value::Object(members) = members {
            found.extend(members.into_iter().map(|(name, component)| ((section.clone(), name), component)));
        }
    }
    found
}

/// Makes an operation `service`'s: its tag, an id no other service has, and the one security scheme.
fn claim(operation: &mut Map<String, Value>, service: &str, tag: &str, default_security: Option<&Value>) {
    operation.insert("tags".to_owned(), json!([tag]));
    if let Some(Value::String(id)) = operation.get_mut("operationId") {
        *id = format!("{service}_{id}");
    }
    let Some(security) = operation.get("security").or(default_security).and_then(Value::as_array) else { return };
    let bearer = |requirement: &Value| match requirement.as_object() {
        // An empty requirement says that the route also serves strangers.
        Some(schemes) if schemes.is_empty() => json!({}),
        _ => json!({ BEARER: [] }),
    };
    let security: Vec<Value> = security.iter().map(bearer).collect();
    operation.insert("security".to_owned(), Value::Array(security));
}

fn each_operation(item: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(item) = item else { return };
    for (method, operation) in item {
        if let (true, Value::Object(operation)) = (METHODS.contains(&method.as_str()), operation) {
            change(operation);
        }
    }
}

/// Replaces every reference, wherever it is: in a `$ref` or in a discriminator's mapping.
fn redirect(value: &mut Value, references: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = references.get(text) {
                text.clone_from(new);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redirect(value, references)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redirect(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn mentions(value: &Value, references: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => references.contains(text),
        Value::Array(values) => values.iter().any(|value| mentions(value, references)),
        Value::Object(fields) => fields.values().any(|value| mentions(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn reference((section, name): &Key) -> String {
    format!("{COMPONENTS}{section}/{name}")
}

fn take_object(value: &mut Value, field: &str) -> Map<String, Value> {
    match value.get_mut(field).map(Value::take) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests;
