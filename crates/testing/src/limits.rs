//! Every field of every route has limits and says so: they are read from the service's OpenAPI document and tried on the
//! service, each with values just outside of them, of other types and of other formats, in both spellings of its name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

mod schema;

use schema::{ITEM, Place, Schema};

/// A request that is fine, of which one field at a time is spoiled.
#[derive(Clone, Debug)]
pub struct Sample {
    /// As `GET /api/v1/products/{id}`: the method and the route's template.
    pub route: &'static str,
    /// Parameters of path and query, by name.
    pub parameters: Value,
    /// The JSON body, or null for none.
    pub body: Value,
}

/// What a sample becomes on the wire.
#[derive(Clone, Debug)]
pub struct Try {
    /// The HTTP method.
    pub method: String,
    /// The route's template.
    pub route: &'static str,
    /// Path and query, the parameters filled in.
    pub path: String,
    /// The JSON body, if any.
    pub body: Option<Value>,
}

/// Tries every field of every route of `document`; `send` makes the request with a caller who may, and gives status and body.
///
/// # Panics
/// With every field that has no limits, every bad value that was not refused with a word about its field, and every value
/// at a limit that was.
pub async fn check(document: &Value, samples: &[Sample], send: impl AsyncFn(Try) -> (u16, Value)) {
    let mut complaints = Vec::new();
    let mut samples: BTreeMap<&str, &Sample> = samples.iter().map(|sample| (sample.route, sample)).collect();
    for (route, operation) in schema::operations(document) {
        let fields = schema::fields(document, operation);
        if fields.is_empty() {
            continue;
        }
        let Some(sample) = samples.remove(route.as_str()) else {
            complaints.push(format!("{route}: no sample"));
            continue;
        };
        let (status, answer) = send(sample.attempt()).await;
        if status == 400 {
            complaints.push(format!("{route}: the sample itself is refused: {answer}"));
        }
        for body in wrong_bodies(sample) {
            let (status, answer) = send(Try { body: Some(body.clone()), ..sample.attempt() }).await;
            if status != 400 {
                complaints.push(format!("{route}: the body {body}: {status} {answer}"));
            }
        }
        for (place, schema) in &fields {
            complaints.extend(schema.unlimited().map(|what| format!("{route}: {place} has no {what}")));
            for (value, good) in values(place, schema) {
                for place in place.spellings() {
                    let (status, answer) = send(sample.with(&place, &value)).await;
                    let named = names(&answer, &place);
                    let missing = status == 404 && matches!(place, Place::Path(_)) && !schema.is_uuid();
                    let fine = if good { status != 400 || !named } else { (status == 400 && named) || missing };
                    if !fine {
                        complaints.push(format!("{route}: {place} = {}: {status} {answer}", short(&value)));
                    }
                }
            }
        }
    }
    complaints.extend(samples.keys().map(|route| format!("{route}: a sample without a route or fields")));
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Values outside of the limits, and some just inside.
fn values(place: &Place, schema: &Schema) -> Vec<(Option<Value>, bool)> {
    let text_only = matches!(place, Place::Path(_) | Place::Query(_));
    let bad = if text_only { schema.bad_texts() } else { schema.bad_values() };
    let good = if text_only { schema.edge_texts() } else { schema.edge_values() };
    let absent = (schema.required && !matches!(place, Place::Path(_))).then_some((None, false));
    let bad = bad.into_iter().map(|value| (Some(value), false));
    absent.into_iter().chain(bad).chain(good.into_iter().map(|value| (Some(value), true))).collect()
}

fn wrong_bodies(sample: &Sample) -> Vec<Value> {
    let bodies = [json!([]), json!(7), json!("text"), json!(null), json!(true)];
    if sample.body.is_null() { Vec::new() } else { bodies.into() }
}

/// Whether a problem document is about the field, or a part of it.
fn names(answer: &Value, place: &Place) -> bool {
    let wanted = plain(&place.to_string());
    let errors = answer["errors"].as_array().into_iter().flatten();
    let told =
        |error: &Value| error["rule"].as_str().is_some_and(|rule| !rule.is_empty()) && error["message"].is_string();
    errors.filter(|error| told(error)).filter_map(|error| error["field"].as_str()).any(|field| {
        let field = plain(field);
        field == wanted || field.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with(['[', '.']))
    })
}

/// `shipping_address.fullName` and `shippingAddress.full_name` are one field.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

fn short(value: &Option<Value>) -> String {
    let text = value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    let start: String = text.chars().take(60).collect();
    format!("{start} ({} characters)", text.chars().count())
}

impl Sample {
    /// A sample without a body.
    #[must_use]
    pub const fn new(route: &'static str, parameters: Value) -> Self {
        Self { route, parameters, body: Value::Null }
    }

    /// A sample with one.
    #[must_use]
    pub const fn with_body(route: &'static str, parameters: Value, body: Value) -> Self {
        Self { route, parameters, body }
    }

    fn attempt(&self) -> Try {
        let (method, template) = self.route.split_once(' ').expect("a method and a path");
        let mut path = template.to_owned();
        let mut query = String::new();
        for (name, value) in self.parameters.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let slot = format!("{{{name}}}");
            if path.contains(&slot) {
                path = path.replace(&slot, &escaped(&text));
            } else {
                let start = if query.is_empty() { '?' } else { '&' };
                query += &format!("{start}{}={}", escaped(name), escaped(&text));
            }
        }
        assert!(!path.contains('{'), "{}: a parameter is missing", self.route);
        let body = Some(self.body.clone()).filter(|body| !body.is_null());
        Try { method: method.to_owned(), route: self.route, path: path + &query, body }
    }

    /// The sample with another value, or none, in one place.
    fn with(&self, place: &Place, value: &Option<Value>) -> Try {
        let mut changed = self.clone();
        match place {
            Place::Path(name) | Place::Query(name) => {
                let parameters = changed.parameters.as_object_mut().expect("parameters by name");
                parameters.retain(|known, _| plain(known) != plain(name));
                parameters.extend(value.clone().map(|value| (name.clone(), value)));
            }
            Place::Body(steps) => set(&mut changed.body, steps, value.clone()),
        }
        changed.attempt()
    }
}

/// Everything but letters and digits, as a URL carries it.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Puts `value` at the end of `steps`, with the step's own spelling, and makes what is missing on the way.
fn set(body: &mut Value, steps: &[String], value: Option<Value>) {
    let [step, rest @ ..] = steps else {
        *body = value.unwrap_or_default();
        return;
    };
    if step == ITEM {
        *body = value.into_iter().collect();
        return;
    }
    if !body.is_object() {
        *body = Value::Object(Map::new());
    }
    let fields = body.as_object_mut().expect("just made");
    let before = fields.iter().find(|(name, _)| plain(name) == plain(step)).map(|(_, value)| value.clone());
    fields.retain(|name, _| plain(name) != plain(step));
    if rest.is_empty() && value.is_none() {
        return;
    }
    let mut next = before.unwrap_or_default();
    set(&mut next, rest, value);
    fields.insert(step.clone(), next);
}
