//! Which fields differ between two objects, as a person would point at them.

use serde::Serialize;
use serde_json::Value;

use crate::apply::compare::{field_contains, is_shared, is_whole};

/// What tells the entries of a list apart, the most telling first.
const IDENTITIES: [&str; 5] = ["mountPath", "name", "topologyKey", "uid", "key"];

/// A field with another value than before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where it is, for example `spec.template.spec.containers[order].image`.
    pub path: String,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What will be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// What changes in `live` when `wanted` is applied to it, where `before` was wanted so far.
///
/// Fields of others and defaults are in `live` only; `before` tells them from fields that are no longer wanted.
#[must_use]
pub fn differences(live: &Value, before: &Value, wanted: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    missing(&Place::default(), live, wanted, &mut found);
    let mut gone = Vec::new();
    missing(&Place::default(), wanted, before, &mut gone);
    let mut gone_already = Vec::new();
    missing(&Place::default(), live, before, &mut gone_already);
    let removed = gone.into_iter().filter(|field| field.old.is_none());
    let removed = removed.filter(|field| !gone_already.iter().any(|already| already.path == field.path));
    found.extend(removed.map(|field| Difference { path: field.path, old: field.new, new: None }));
    found
}

/// A field, by its own name and by the way to it.
#[derive(Default)]
struct Place {
    field: String,
    path: String,
}

impl Place {
    fn below(&self, key: &str) -> Self {
        // Keys of labels and annotations have dots of their own.
        let path = match (self.path.as_str(), key.contains(['.', '/'])) {
            ("", _) => key.to_owned(),
            (path, false) => format!("{path}.{key}"),
            (path, true) => format!("{path}[{key}]"),
        };
        Self { field: key.to_owned(), path }
    }

    fn entry(&self, name: &str) -> Self {
        Self { field: String::new(), path: format!("{}[{name}]", self.path) }
    }
}

/// Collects what `wanted` says and `live` does not.
fn missing(place: &Place, live: &Value, wanted: &Value, found: &mut Vec<Difference>) {
    if field_contains(&place.field, live, wanted) {
        return;
    }
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) if !is_whole(&place.field) => {
            for (key, wanted) in wanted {
                missing(&place.below(key), live.get(key).unwrap_or(&Value::Null), wanted, found);
            }
        }
        (Value::Array(live), Value::Array(wanted)) if is_shared(&place.field) => {
            for (index, wanted) in wanted.iter().enumerate() {
                if !live.iter().any(|live| field_contains("", live, wanted)) {
                    let name = identity(wanted).map_or_else(|| index.to_string(), |(_, name)| name.to_owned());
                    let same = |live: &&Value| identity(wanted).is_some() && identity(live) == identity(wanted);
                    let live = live.iter().find(same).unwrap_or(&Value::Null);
                    missing(&place.entry(&name), live, wanted, found);
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            for (index, (live, wanted)) in live.iter().zip(wanted).enumerate() {
                missing(&place.entry(&index.to_string()), live, wanted, found);
            }
        }
        _ => found.push(Difference {
            path: place.path.clone(),
            old: Some(live.clone()).filter(|live| !live.is_null()),
            new: Some(wanted.clone()).filter(|wanted| !wanted.is_null()),
        }),
    }
}

fn identity(entry: &Value) -> Option<(&'static str, &str)> {
    IDENTITIES.iter().find_map(|key| Some((*key, entry.get(*key)?.as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(live: &Value, before: &Value, wanted: &Value, expected: &[(&str, Value, Value)]) {
        let found: Vec<(String, Value, Value)> = differences(live, before, wanted)
            .into_iter()
            .map(|field| (field.path, field.old.unwrap_or_default(), field.new.unwrap_or_default()))
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(path, old, new)| ((*path).to_owned(), old.clone(), new.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_field_is_named_by_its_path_and_an_entry_by_its_name() {
        let spec = |image: &str, level: &str| {
            let env = json!([{"name": "SHOP_LOG", "value": level}]);
            json!({"spec": {"containers": [{"name": "order", "image": image, "env": env}]}})
        };
        check(
            &spec("order:1", "info"),
            &spec("order:1", "info"),
            &spec("order:2", "debug"),
            &[
                ("spec.containers[order].env[SHOP_LOG].value", json!("info"), json!("debug")),
                ("spec.containers[order].image", json!("order:1"), json!("order:2")),
            ],
        );
    }

    #[test]
    fn defaults_and_fields_of_others_are_no_difference() {
        let live = json!({"spec": {"replicas": 1, "paused": false, "cpu": "500m", "env": [{"name": "THEIRS"}]}});
        let wanted = json!({"spec": {"replicas": 1, "cpu": "0.5", "env": []}});
        check(&live, &wanted, &wanted, &[]);
    }

    #[test]
    fn what_was_wanted_and_no_longer_is_goes_away() {
        let live =
            json!({"spec": {"host": "a.test", "theirs": 1, "env": [{"name": "A", "value": "1"}, {"name": "B"}]}});
        let before = json!({"spec": {"host": "a.test", "env": [{"name": "A", "value": "1"}]}});
        let gone = json!({"name": "A", "value": "1"});
        check(
            &live,
            &before,
            &json!({"spec": {"env": []}}),
            &[("spec.env[A]", gone, Value::Null), ("spec.host", json!("a.test"), Value::Null)],
        );
        let gone_already = json!({"spec": {"theirs": 1}});
        check(&gone_already, &before, &json!({"spec": {}}), &[]);
    }

    #[test]
    fn a_list_that_has_another_length_is_shown_as_a_whole() {
        let (one, two) = (json!({"args": ["serve"]}), json!({"args": ["serve", "--now"]}));
        check(&one, &one, &two, &[("args", json!(["serve"]), json!(["serve", "--now"]))]);
    }

    #[test]
    fn a_selector_is_shown_as_a_whole() {
        let selector = |labels: Value| json!({"spec": {"selector": labels}});
        let (ours, more) = (json!({"app": "order"}), json!({"app": "order", "mine": "yes"}));
        let wanted = selector(ours.clone());
        check(&selector(more.clone()), &wanted, &wanted, &[("spec.selector", more, ours)]);
    }

    #[test]
    fn keys_with_dots_stay_readable() {
        let labels = |version: &str| json!({"labels": {"app.kubernetes.io/version": version}});
        let path = "labels[app.kubernetes.io/version]";
        check(&labels("1"), &labels("1"), &labels("2"), &[(path, json!("1"), json!("2"))]);
    }
}
