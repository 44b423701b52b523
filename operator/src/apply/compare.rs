//! Pure: whether a live object has everything that is wanted of it.
//!
//! The API server adds defaults, other managers add fields and list entries, and amounts are written in a canonical form.
//! None of that is a difference; a wanted field with another value is, and an entry more where a whole list or map is ours.

use serde_json::Value;

use crate::quantity;

/// Lists whose entries have an identity of their own, in which others may have entries too (sidecars, for instance).
/// Every other list belongs to the operator as a whole.
const SHARED_LISTS: [&str; 10] = [
    "containers",
    "env",
    "imagePullSecrets",
    "initContainers",
    "ownerReferences",
    "ports",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// Maps that belong to the operator as a whole, in the API server's eyes too: with one more entry a selector finds other pods.
const WHOLE_MAPS: [&str; 5] = ["labelSelector", "matchLabels", "namespaceSelector", "podSelector", "selector"];

/// Fields with an amount, which the API server may write in another way.
const AMOUNTS: [&str; 3] = ["cpu", "memory", "storage"];

/// Whether `live` has everything that `wanted` says.
pub(super) fn contains(live: &Value, wanted: &Value) -> bool {
    field_contains("", live, wanted)
}

/// The same for a field of this name.
pub(crate) fn field_contains(field: &str, live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let entries = wanted.iter().all(|(key, wanted)| {
                let live = live.get(key).unwrap_or(&Value::Null);
                field_contains(key, live, wanted)
            });
            entries && (live.len() == wanted.len() || !is_whole(field))
        }
        (Value::Array(live), Value::Array(wanted)) => list_contains(field, live, wanted),
        // The API server drops empty lists.
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        (Value::String(live), Value::String(wanted)) => {
            live == wanted || (AMOUNTS.contains(&field) && quantity::same(live, wanted))
        }
        _ => live == wanted,
    }
}

fn list_contains(field: &str, live: &[Value], wanted: &[Value]) -> bool {
    if is_shared(field) {
        return wanted.iter().all(|wanted| live.iter().any(|live| field_contains("", live, wanted)));
    }
    live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| field_contains("", live, wanted))
}

/// Whether nobody else may have entries in a map of this name.
pub(crate) fn is_whole(field: &str) -> bool {
    WHOLE_MAPS.contains(&field)
}

/// Whether others may have entries in a list of this name too.
pub(crate) fn is_shared(field: &str) -> bool {
    SHARED_LISTS.contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(live: &Value, wanted: &Value, expected: bool) {
        assert_eq!(contains(live, wanted), expected, "live {live}, wanted {wanted}");
    }

    #[test]
    fn defaults_and_fields_of_others_are_no_difference() {
        check(&json!({"spec": {"replicas": 1, "minReadySeconds": 0}}), &json!({"spec": {"replicas": 1}}), true);
        check(&json!({"spec": {}}), &json!({"spec": {"args": []}}), true);
        check(
            &json!({"containers": [{"name": "sidecar"}, {"name": "order", "image": "a", "tty": false}]}),
            &json!({"containers": [{"name": "order", "image": "a"}]}),
            true,
        );
    }

    #[test]
    fn a_changed_or_missing_field_is_a_difference() {
        check(&json!({"spec": {"replicas": 3}}), &json!({"spec": {"replicas": 1}}), false);
        check(&json!({"spec": {}}), &json!({"spec": {"replicas": 1}}), false);
        check(&json!({"volumes": [{"name": "tmp"}]}), &json!({"volumes": [{"name": "tmp", "emptyDir": {}}]}), false);
        check(&json!({"env": [{"name": "A", "value": "2"}]}), &json!({"env": [{"name": "A", "value": "1"}]}), false);
    }

    #[test]
    fn an_entry_that_somebody_added_to_a_list_of_ours_is_a_difference() {
        check(&json!({"rules": [{"host": "a"}, {"host": "b"}]}), &json!({"rules": [{"host": "a"}]}), false);
        check(&json!({"args": ["serve", "--x"]}), &json!({"args": ["serve"]}), false);
    }

    #[test]
    fn an_entry_that_somebody_added_to_a_selector_is_a_difference() {
        let service = |selector: Value| json!({"metadata": {"labels": {"a": "b"}}, "spec": {"selector": selector}});
        check(&service(json!({"app": "order", "mine": "yes"})), &service(json!({"app": "order"})), false);
        check(&service(json!({"app": "order"})), &service(json!({"app": "order"})), true);
        let policy = |labels: Value| json!({"spec": {"podSelector": {"matchLabels": labels}}});
        check(&policy(json!({"app": "order", "mine": "yes"})), &policy(json!({"app": "order"})), false);
        let everyone = json!({"podSelector": {}});
        check(&json!({"podSelector": {"matchLabels": {"mine": "yes"}}}), &everyone, false);
        check(&everyone, &everyone, true);
    }

    #[test]
    fn amounts_are_compared_by_value() {
        check(&json!({"cpu": "500m"}), &json!({"cpu": "0.5"}), true);
        check(&json!({"memory": "1Gi"}), &json!({"memory": "1G"}), false);
        check(&json!({"value": "500m"}), &json!({"value": "0.5"}), false);
    }
}
