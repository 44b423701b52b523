//! What an OpenAPI 3.1 document says of a route's fields, and values inside and outside of it.

use std::fmt;

use serde_json::{Value, json};

/// The step into a list.
pub const ITEM: &str = "[0]";
/// A letter of two bytes: a limit in characters lets in twice as many bytes.
const WIDE: &str = "ш";
/// Above every limit of a number, and still exact.
const HUGE: f64 = 1e15;

/// Where a field is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A parameter of the path.
    Path(String),
    /// A parameter of the query.
    Query(String),
    /// Inside the JSON body.
    Body(Vec<String>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) | Self::Query(name) => f.write_str(name),
            Self::Body(steps) => f.write_str(&steps.join(".").replace(".[", "[")),
        }
    }
}

impl Place {
    /// The same place with its last name in camel case and in snake case, where these differ.
    pub fn spellings(&self) -> Vec<Self> {
        match self {
            Self::Path(_) => vec![self.clone()],
            Self::Query(name) => spellings(name).into_iter().map(Self::Query).collect(),
            Self::Body(steps) => {
                let (last, parents) = steps.split_last().expect("a field has a name");
                spellings(last).into_iter().map(|name| Self::Body([parents, &[name]].concat())).collect()
            }
        }
    }
}

fn spellings(name: &str) -> Vec<String> {
    let (mut camel, mut snake, mut upper) = (String::new(), String::new(), false);
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
            snake.push('_');
            continue;
        }
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        camel.push(if upper { letter.to_ascii_uppercase() } else { letter });
        upper = false;
    }
    if camel == snake { vec![camel] } else { vec![camel, snake] }
}

/// Every operation, by `GET /path`.
pub fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    operations.collect()
}

/// Every field of an operation's path, query and JSON body.
pub fn fields(document: &Value, operation: &Value) -> Vec<(Place, Schema)> {
    let mut all = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let place = match parameter["in"].as_str() {
            Some("path") => Place::Path(name),
            Some("query") => Place::Query(name),
            _ => continue,
        };
        let required = parameter["required"] == true;
        all.push((place, Schema { required, ..Schema::of(document, &parameter["schema"]) }));
    }
    let body = Schema::of(document, &operation["requestBody"]["content"]["application/json"]["schema"]);
    body_fields(document, &body, &[], &mut all);
    all
}

fn body_fields(document: &Value, schema: &Schema, steps: &[String], all: &mut Vec<(Place, Schema)>) {
    let required = |name: &str| schema.node["required"].as_array().into_iter().flatten().any(|known| known == name);
    for (name, property) in schema.node["properties"].as_object().into_iter().flatten() {
        let inner = Schema { required: required(name), ..Schema::of(document, property) };
        let steps = [steps, std::slice::from_ref(name)].concat();
        body_fields(document, &inner, &steps, all);
        if let Some(items) = inner.node.get("items") {
            all.push((Place::Body([&steps[..], &[ITEM.to_owned()]].concat()), Schema::of(document, items)));
        }
        all.push((Place::Body(steps), inner));
    }
}

/// One schema, its references followed.
#[derive(Clone, Debug)]
pub struct Schema {
    node: Value,
    nullable: bool,
    /// Whether the field has to be there.
    pub required: bool,
}

impl Schema {
    fn of(document: &Value, node: &Value) -> Self {
        if let Some(reference) = node["$ref"].as_str() {
            let target = document.pointer(reference.trim_start_matches('#'));
            return Self::of(document, target.unwrap_or_else(|| panic!("{reference} is not in the document")));
        }
        let choices = ["oneOf", "anyOf", "allOf"].iter().find_map(|choice| node[*choice].as_array());
        if let Some(choices) = choices {
            let nullable = choices.iter().any(|choice| choice["type"] == "null");
            let real = choices.iter().find(|choice| choice["type"] != "null").unwrap_or(&Value::Null);
            return Self { nullable, ..Self::of(document, real) };
        }
        let nullable = node["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
        Self { node: node.clone(), nullable, required: false }
    }

    fn is(&self, kind: &str) -> bool {
        self.node["type"] == kind || self.node["type"].as_array().is_some_and(|types| types.contains(&json!(kind)))
    }

    /// Whether it is an id.
    pub fn is_uuid(&self) -> bool {
        self.node["format"] == "uuid"
    }

    fn is_word(&self) -> bool {
        self.node.get("enum").is_some()
    }

    /// Whether any text of the right length will do.
    fn is_free_text(&self) -> bool {
        self.is("string") && !self.is_word() && ["format", "pattern"].iter().all(|key| self.node.get(key).is_none())
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.node[key].as_f64()
    }

    fn count(&self, key: &str) -> Option<usize> {
        self.node[key].as_u64().and_then(|count| usize::try_from(count).ok())
    }

    /// Limits that it should have and has not.
    pub fn unlimited(&self) -> impl Iterator<Item = &'static str> + use<> {
        let needed: &[&str] = if self.is("string") && !self.is_word() && !self.is_uuid() {
            &["maxLength"]
        } else if self.is("integer") || self.is("number") {
            &["minimum", "maximum"]
        } else if self.is("array") {
            &["maxItems"]
        } else if self.is("object") && self.node.get("properties").is_none() {
            &["maxProperties"]
        } else {
            &[]
        };
        let missing: Vec<_> = needed.iter().filter(|key| self.node.get(**key).is_none()).copied().collect();
        missing.into_iter()
    }

    /// JSON values that it does not allow.
    pub fn bad_values(&self) -> Vec<Value> {
        let mut bad = if self.nullable { Vec::new() } else { vec![Value::Null] };
        if self.is("string") {
            bad.extend([json!(7), json!(true), json!([]), json!({}), json!(["x"])]);
            bad.extend(self.bad_strings().into_iter().map(Value::from));
        } else if self.is("integer") {
            bad.extend([json!("1"), json!(1.5), json!(1e300), json!(i64::MIN), json!([1]), json!({}), json!(true)]);
            bad.extend(self.around().map(|number| json!(number)));
        } else if self.is("number") {
            bad.extend([json!("1"), json!(1e300), json!(-1e300), json!(HUGE), json!([1]), json!({}), json!(true)]);
            bad.extend(self.number("minimum").map(|least| json!(least - 1.0)));
        } else if self.is("array") {
            bad.extend([json!("x"), json!(7), json!({}), json!([7]), json!([null])]);
            let ids = |count| (0..count).map(|id: usize| json!(format!("{id:032x}"))).collect::<Vec<_>>();
            bad.extend(self.count("maxItems").map(|most| Value::from(ids(most + 1))));
        } else if self.is("object") {
            bad.extend([json!("x"), json!(7), json!([])]);
            let names = |count| (0..count).map(|id: usize| (format!("n{id}"), json!(1))).collect();
            bad.extend(self.count("maxProperties").map(|most| Value::Object(names(most + 1))));
            if self.node.get("properties").is_none() {
                bad.extend([json!({"deep": {"er": 1}}), json!({"": 1}), json!({"a\u{0}": 1}), json!({"a": "b\u{0}"})]);
            }
        }
        bad
    }

    /// Texts that a path or query must not have here.
    pub fn bad_texts(&self) -> Vec<Value> {
        let texts = if self.is("string") {
            self.bad_strings()
        } else {
            let mut texts: Vec<String> = ["", "x", "1e300", "-1e300", "1,5", "0x10"].map(str::to_owned).into();
            texts.extend(self.around().map(|number| number.to_string()));
            if self.is("integer") {
                texts.extend(["1.5", "99999999999999999999"].map(str::to_owned));
            } else {
                texts.extend(["NaN", "inf", "-1"].map(str::to_owned));
            }
            texts
        };
        // An empty path is another path.
        texts.into_iter().map(Value::from).collect()
    }

    /// The whole numbers beside the limits.
    fn around(&self) -> impl Iterator<Item = i64> + use<> {
        let least = self.number("minimum").map(|least| least as i64 - 1);
        let most = self.number("maximum").map(|most| most as i64 + 1);
        least.into_iter().chain(most)
    }

    fn bad_strings(&self) -> Vec<String> {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        if self.is_word() {
            return texts(&["no such word", " ", "\u{0}"]);
        }
        if self.is_uuid() {
            return texts(&[
                "1",
                "me",
                "00000000-0000-0000-0000-00000000000",
                "0000000000000000000000000000000g",
                "' OR 1=1",
            ]);
        }
        let mut bad = match self.node["format"].as_str() {
            Some("email") => {
                texts(&["", "ada", "@example.com", "ada@", "a b@example.com", "a\u{0}@example.com", "a@b@c.com"])
            }
            Some("password") => Vec::new(),
            _ => texts(&["a\u{0}b", "a\u{7f}", "\u{1b}[31m"]),
        };
        if let Some(most) = self.count("maxLength") {
            bad.extend([WIDE.repeat(most + 1), "x".repeat(most + 1)]);
        }
        match self.count("minLength") {
            Some(0) | None => {}
            Some(least) if self.node["format"].is_string() => bad.push("x".repeat(least - 1)),
            Some(least) => bad.extend(["x".repeat(least - 1), " ".repeat(least), "\u{200b}".repeat(least)]),
        }
        bad
    }

    /// JSON values at the limits.
    pub fn edge_values(&self) -> Vec<Value> {
        if self.is("integer") {
            return ["minimum", "maximum"].iter().filter_map(|key| self.node.get(*key).cloned()).collect();
        }
        self.edge_texts()
    }

    /// Texts at the limits.
    pub fn edge_texts(&self) -> Vec<Value> {
        if self.is("integer") {
            return ["minimum", "maximum"].iter().filter_map(|key| self.node.get(*key).cloned()).collect();
        }
        let lengths =
            ["minLength", "maxLength"].iter().filter_map(|key| self.count(key)).filter(|_| self.is_free_text());
        lengths.map(|length| WIDE.repeat(length).into()).collect()
    }
}
