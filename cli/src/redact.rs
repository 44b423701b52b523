//! Takes secrets out of texts and objects that are handed on to others.
//!
//! Two nets, because each has holes: the values of Secrets that are known are taken out wherever they stand and however they
//! are written (`known`), and so is what looks like a secret (`patterns`). They rather take too much.

mod known;
mod patterns;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

pub use self::known::{SHORTEST, SHORTEST_WORD};
use self::{known::Known, patterns::Patterns};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// It has the whole object in it, with everything that was left out elsewhere.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Knows what to take out.
pub struct Redactor {
    known: Known,
    patterns: Patterns,
}

impl Redactor {
    /// One that knows these Secrets.
    pub fn new(secrets: &[Secret]) -> anyhow::Result<Self> {
        let patterns = Patterns::new()?;
        Ok(Self { known: Known::new(secrets, &patterns)?, patterns })
    }

    /// A text without what is known or looks like a secret.
    pub fn text(&self, text: &str) -> String {
        self.patterns.hide(&self.known.hide(text))
    }

    /// A text without the values of the known Secrets.
    pub fn without_known(&self, text: &str) -> String {
        self.known.hide(text)
    }

    /// An object without what is known or looks like a secret, and without who wrote which field of it.
    pub fn object(&self, object: &mut Value) {
        match object {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => self.items(items),
            Value::Object(fields) => self.fields(fields),
            _ => {}
        }
    }

    /// A command line is a list: what follows `--password` is one.
    fn items(&self, items: &mut [Value]) {
        let mut after_flag = false;
        for item in items {
            let flag = item.as_str().is_some_and(|text| text.starts_with('-') && self.patterns.is_secret(text));
            if after_flag && item.is_string() {
                *item = json!(HIDDEN);
            } else {
                self.object(item);
            }
            after_flag = flag;
        }
    }

    fn fields(&self, fields: &mut Map<String, Value>) {
        fields.remove("managedFields");
        fields.remove(LAST_APPLIED);
        let name = fields.get("name").and_then(Value::as_str);
        let secret_variable = name.is_some_and(|name| self.patterns.may_be_secret(name));
        for (key, field) in fields {
            let secret = field.is_string() && self.patterns.is_secret(key);
            if secret || (secret_variable && key == "value") {
                *field = json!(HIDDEN);
            } else {
                self.object(field);
            }
        }
    }
}

/// What may be told of a Secret: its keys, and how long their values are.
pub fn outline(secret: &Secret) -> Value {
    let keys = secret.data.iter().flatten().map(|(key, value)| json!({"key": key, "bytes": value.0.len()}));
    let keys: Vec<Value> = keys.collect();
    json!({"name": secret.name_any(), "type": secret.type_, "labels": secret.labels(), "keys": keys})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What must never be in anything that is handed on.
    const CANARY: &str = "cAnAry-7f3a91";

    fn secret() -> Secret {
        serde_json::from_value(json!({
            "metadata": {"name": "acorn-postgres"}, "type": "Opaque",
            // Y2FuYXJ5: what `echo -n` and base64 make of it.
            "data": {"password": "Y0FuQXJ5LTdmM2E5MQ==", "username": "cG9zdGdyZXM="},
        }))
        .unwrap()
    }

    fn stranger() -> Redactor {
        Redactor::new(&[]).unwrap()
    }

    #[test]
    fn the_value_of_a_known_secret_is_taken_out_wherever_it_stands() {
        let redactor = Redactor::new(&[secret()]).unwrap();
        assert_eq!(redactor.text(&format!("the broker said {CANARY}!")), "the broker said ***!");
    }

    #[test]
    fn an_object_keeps_its_settings_and_loses_its_secrets() {
        let mut deployment = json!({
            "metadata": {
                "name": "acorn-order",
                "managedFields": [{"manager": "shopkeeper"}],
                "annotations": {LAST_APPLIED: format!("{{\"data\":\"{CANARY}\"}}"), "note": "mine"},
            },
            "spec": {"env": [
                {"name": "SHOP_LOG", "value": "info"},
                {"name": "SHOP_URL", "value": format!("redis://order:{CANARY}@acorn-redis:6379")},
                {"name": "SMTP_PASSWORD", "value": CANARY},
                {"name": "SHOP_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "acorn-order", "key": "password"}}},
            ], "args": ["--password", CANARY, "--level", "info"], "config": {"apiKey": CANARY}},
        });
        stranger().object(&mut deployment);
        let expected = json!({
            "metadata": {"name": "acorn-order", "annotations": {"note": "mine"}},
            "spec": {"env": [
                {"name": "SHOP_LOG", "value": "info"},
                {"name": "SHOP_URL", "value": "redis://***@acorn-redis:6379"},
                {"name": "SMTP_PASSWORD", "value": "***"},
                {"name": "SHOP_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "acorn-order", "key": "password"}}},
            ], "args": ["--password", "***", "--level", "info"], "config": {"apiKey": "***"}},
        });
        assert_eq!(deployment, expected);
    }

    #[test]
    fn of_a_secret_only_its_keys_and_sizes_are_told() {
        let told = outline(&secret());
        assert_eq!(told["keys"], json!([{"key": "password", "bytes": 13}, {"key": "username", "bytes": 8}]));
        assert!(!told.to_string().contains(CANARY));
    }
}
