//! The schema of a Shop's spec: its fields, and values that fit them or do not.

use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

/// What stands for the entries of a list in a path.
const ENTRY: &str = "[]";
/// Values of neighbours that are tried.
pub const PICKS: usize = 4;
/// Words before an example in a rule's message or a description.
const EXAMPLE: [&str; 2] = ["for example ", "such as "];
/// The key of what stands under names.
const KEY: &str = "cart-order";
/// Fields of Kubernetes' own types, which have no fields of ours.
const PEERS: [&str; 3] = ["ingressFrom", "metricsFrom", "egressTo"];
/// What else must be there beside a field, where only a rule says so.
const BESIDE: [(&str, &str, &str); 2] = [("faults", "delay", "20ms"), ("canary", "version", "1.2.3")];
/// Fields that stand in the place of what [`BESIDE`] has.
const INSTEAD: [(&str, &str); 1] = [("canary", "image")];
/// Fits where anything fits: a name.
pub const NAMES: [&str; 2] = ["acorn-one", "acorn-two"];

/// The schema of `spec`.
pub struct Schema(Value);

/// A field, or a list or map of what has fields of its own.
pub struct Field {
    path: Vec<String>,
    schema: Value,
    is_required: bool,
    has_fields: bool,
}

/// A value that is refused.
pub struct Bad {
    /// The value.
    pub value: Value,
    /// What the refusal says.
    pub help: String,
}

impl Schema {
    /// The one in a definition.
    #[must_use]
    pub fn of(definition: &CustomResourceDefinition) -> Self {
        let definition = serde_json::to_value(definition).expect("json");
        Self(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone())
    }

    /// Every field that has no fields of its own.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut found = self.limited();
        found.retain(|field| !field.has_fields);
        found
    }

    /// The same, and the lists and maps that fields are in, which have limits of their own.
    #[must_use]
    pub fn limited(&self) -> Vec<Field> {
        let mut found = Vec::new();
        walk(&mut Vec::new(), &self.0, false, &mut found);
        found
    }

    /// A change that gives a field a value, and to what must stand beside it one of the values that fit.
    #[must_use]
    pub fn patch(&self, field: &Field, value: &Value, pick: usize) -> Value {
        around(&self.0, &field.path, value, pick)
    }

    /// A spec with it.
    #[must_use]
    pub fn with(&self, field: &Field, value: &Value, pick: usize, mut spec: Value) -> Value {
        let Value::Object(change) = said(self.patch(field, value, pick)) else { return spec };
        spec.as_object_mut().expect("a spec").extend(change);
        spec
    }

    /// A change that takes back what [`Self::patch`] did to a Shop made of a spec: that returns, or else the default.
    #[must_use]
    pub fn without(field: &Field, spec: &Value) -> Value {
        let first = &field.path[0];
        json!({ first.as_str(): spec[first] })
    }
}

fn walk(path: &mut Vec<String>, schema: &Value, is_required: bool, found: &mut Vec<Field>) {
    let field = |schema: Value, has_fields: bool| Field { path: path.clone(), schema, is_required, has_fields };
    if path.last().is_some_and(|name| PEERS.contains(&name.as_str())) {
        found.push(field(peers(schema), false));
    } else if let Some(properties) = properties(schema) {
        properties.iter().for_each(|(name, inner)| step(path, name, inner, requires(schema, name), found));
    } else if properties(&schema["additionalProperties"]).is_some() {
        found.push(field(schema.clone(), true));
        step(path, KEY, &schema["additionalProperties"], false, found);
    } else if properties_of_entries(schema) {
        found.push(field(schema.clone(), true));
        step(path, ENTRY, &schema["items"], false, found);
    } else {
        found.push(field(schema.clone(), false));
    }
}

fn step(path: &mut Vec<String>, name: &str, schema: &Value, is_required: bool, found: &mut Vec<Field>) {
    path.push(name.to_owned());
    walk(path, schema, is_required, found);
    path.pop();
}

fn requires(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|required| required == name)
}

/// Stands for a list of peers of a network policy.
fn peers(schema: &Value) -> Value {
    let values = ["namespaceSelector", "podSelector"].map(|selector| json!({ selector: {} }));
    let (least, most) = (&schema["minItems"], &schema["maxItems"]);
    json!({"type": "array", "items": {"enum": values}, "minItems": least, "maxItems": most})
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object().filter(|properties| !properties.is_empty())
}

fn properties_of_entries(schema: &Value) -> bool {
    properties(&schema["items"]).is_some()
}

fn around(schema: &Value, path: &[String], value: &Value, pick: usize) -> Value {
    let Some((step, rest)) = path.split_first() else { return value.clone() };
    if step == ENTRY {
        return json!([around(&schema["items"], rest, value, pick)]);
    }
    let mut object = required(schema, pick);
    if one_of_its_fields(schema) {
        let choices = properties(schema).into_iter().flatten().filter(|(_, schema)| schema["type"] == "object");
        object.extend(choices.clone().map(|(name, _)| (name.clone(), Value::Null)));
        // A field beside the choices needs one of them.
        let chosen = choices.clone().nth(pick % choices.count());
        object.extend(chosen.map(|(name, schema)| (name.clone(), sample(schema, pick))));
        if schema["properties"][step]["type"] == "object" {
            object.extend(chosen.map(|(name, _)| (name.clone(), Value::Null)));
        }
    }
    let inner = if step == KEY { &schema["additionalProperties"] } else { &schema["properties"][step] };
    let mut inner = around(inner, rest, value, pick);
    if let (Some((_, field, needed)), Some(inner)) =
        (BESIDE.iter().find(|(of, _, _)| of == step), inner.as_object_mut())
        && !INSTEAD.iter().any(|(of, field)| of == step && inner.contains_key(*field))
    {
        inner.entry(*field).or_insert_with(|| json!(needed));
    }
    object.insert(step.clone(), inner);
    Value::Object(object)
}

/// The fields that an object must have.
fn required(schema: &Value, pick: usize) -> Map<String, Value> {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), sample(&schema["properties"][name], pick))).collect()
}

fn sample(schema: &Value, pick: usize) -> Value {
    if properties(schema).is_some() {
        return Value::Object(required(schema, pick));
    }
    let values = candidates(schema);
    values[pick % values.len()].clone()
}

/// Whether exactly one of an object's objects may be there.
fn one_of_its_fields(schema: &Value) -> bool {
    rules(schema).any(|rule| rule["rule"].as_str().is_some_and(|rule| rule.contains("exists_one")))
}

fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// Without what is said not to be there.
fn said(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, said(value))).collect()
        }
        other => other,
    }
}

/// Values of which some fit.
fn candidates(schema: &Value) -> Vec<Value> {
    if let Some(values) = schema["enum"].as_array() {
        return values.clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false)],
        Some("integer") => {
            let least = schema["minimum"].as_f64().or(schema["default"].as_f64()).unwrap_or(1.0);
            vec![whole(least + 1.0), whole(least + 2.0)]
        }
        Some("number") => vec![json!(0.25), json!(0.5)],
        Some("array") => candidates(&schema["items"]).into_iter().map(|value| json!([value])).collect(),
        Some("object") if schema["additionalProperties"].is_object() => {
            NAMES.map(|name| json!({"acorn.test/name": name})).into()
        }
        Some("object") => vec![json!({})],
        _ => texts(schema),
    }
}

/// Schemas know only one kind of number.
fn whole(number: f64) -> Value {
    format!("{number:.0}").parse().expect("a number")
}

/// What the messages and the description give as examples, the same a little changed, and names.
fn texts(schema: &Value) -> Vec<Value> {
    let messages = rules(schema).map(|rule| &rule["message"]).chain([&schema["description"]]);
    let examples: Vec<String> = messages.filter_map(Value::as_str).flat_map(examples).collect();
    let twisted = examples.iter().filter_map(|example| twist(example));
    let all = examples.iter().cloned().chain(twisted).chain(NAMES.map(str::to_owned));
    all.map(Value::String).collect()
}

fn examples(message: &str) -> Vec<String> {
    let Some(after) = EXAMPLE.iter().find_map(|word| message.split_once(word)).map(|(_, after)| after) else {
        return Vec::new();
    };
    let listed = after.replace(" or ", ", ").replace(" and ", ", ");
    let plain = |c: char| ['"', '`', '.', ';', ':'].contains(&c);
    listed.split(", ").map(|word| word.trim_matches(plain).to_owned()).collect()
}

/// The same with another last digit.
fn twist(example: &str) -> Option<String> {
    let at = example.rfind(|c: char| c.is_ascii_digit())?;
    let digit = if &example[at..=at] == "1" { "2" } else { "1" };
    Some(format!("{}{digit}{}", &example[..at], &example[at + 1..]))
}

impl Field {
    /// The last part of its name that a refusal can name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.iter().rev().find(|step| *step != ENTRY).map_or("spec", String::as_str)
    }

    /// Values of which some fit.
    #[must_use]
    pub fn candidates(&self) -> Vec<Value> {
        candidates(&self.schema)
    }

    /// Values that do not fit, each for one reason.
    #[must_use]
    pub fn invalid(&self) -> Vec<Bad> {
        let mut found = invalid(&self.schema);
        if self.is_required {
            // As good as nothing, in a change and in a spec.
            found.push(Bad::new(Value::Null, "Required value"));
        }
        found
    }
}

impl Bad {
    fn new(value: Value, help: &str) -> Self {
        Self { value, help: help.to_owned() }
    }
}

fn invalid(schema: &Value) -> Vec<Bad> {
    let is_list = schema["type"] == "array";
    let mut found = vec![Bad::new(if is_list { json!("text") } else { json!([]) }, "array")];
    if schema["type"] == "string" && schema["enum"].is_array() {
        found.push(Bad::new(json!("Neither"), "supported values"));
    }
    let limit = |name: &str| schema[name].as_f64();
    found.extend(limit("minimum").map(|least| Bad::new(whole(least - 1.0), "greater than or equal to")));
    found.extend(limit("maximum").map(|most| Bad::new(whole(most + 1.0), "less than or equal to")));
    found.extend(of_wrong_size(schema));
    let mut patterns =
        rules(schema).filter(|rule| rule["rule"].as_str().is_some_and(|rule| rule.starts_with("self.matches(")));
    found.extend(patterns.next().map(|rule| Bad::new(json!("!"), rule["message"].as_str().unwrap_or_default())));
    if is_list {
        found.extend(invalid(&schema["items"]).into_iter().map(|bad| Bad { value: json!([bad.value]), ..bad }));
    }
    found
}

/// Values that are one too short, or one too long.
fn of_wrong_size(schema: &Value) -> Vec<Bad> {
    let size = |name: &str| schema[name].as_u64().and_then(|size| usize::try_from(size).ok());
    let less = |name: &str| size(name).and_then(|least| least.checked_sub(1));
    let more = |name: &str| size(name).map(|most| most + 1);
    let text = |length: usize| json!("a".repeat(length));
    let list = |length: usize| json!(vec![sample(&schema["items"], 0); length]);
    let entry = |number: usize| (format!("acorn-{number}"), sample(&schema["additionalProperties"], 0));
    let found = [
        less("minLength").map(|length| Bad::new(text(length), "should be at least")),
        more("maxLength").map(|length| Bad::new(text(length), "Too long")),
        less("minItems").map(|length| Bad::new(list(length), "should have at least")),
        more("maxItems").map(|length| Bad::new(list(length), "Too many")),
        more("maxProperties").map(|length| Bad::new((0..length).map(entry).collect(), "Too many")),
    ];
    found.into_iter().flatten().collect()
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join(".").replace(".[]", ENTRY))
    }
}
