//! Takes secrets out of texts and objects that are handed on to others.
//!
//! Two nets, because each has holes: the values of Secrets that are known are taken out wherever they stand, and so is what
//! looks like a secret. It rather takes too much.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use regex::{Captures, Regex};
use serde_json::{Value, json};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// Shorter values would be found in the middle of harmless words.
const SHORTEST_SECRET: usize = 8;
/// Keys of Secrets whose values are no secrets, and would make the rest unreadable when they were taken out.
const HARMLESS_KEYS: [&str; 10] =
    ["username", "user", "host", "port", "database", "from", "tls", "ca.crt", "tls.crt", "renew-after"];
/// It has the whole object in it, with everything that was left out elsewhere.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What looks like a secret. The first group stays.
const RULES: [&str; 5] = [
    // Credentials in a URL, up to the last @: a password may have one too.
    r#"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"'<>\\]*@"#,
    r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}",
    // A JSON Web Token, wherever it is.
    r"()\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
    r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    // password=..., "refreshToken": "...", and the same inside a string of JSON.
    r#"(?i)([\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization|cookie)\\?["']?[ \t]*[=:][ \t]*\\?["']?)[^\s"'&,;}\\]+"#,
];

/// Knows what to take out.
pub struct Redactor {
    rules: Vec<Regex>,
    secret_name: Regex,
    known: Vec<String>,
}

impl Redactor {
    /// One that knows these Secrets.
    pub fn new(secrets: &[Secret]) -> anyhow::Result<Self> {
        let values = secrets.iter().flat_map(|secret| secret.data.iter().flatten());
        let values = values.filter(|(key, _)| !HARMLESS_KEYS.contains(&key.as_str()));
        let mut known: Vec<String> = values
            .filter_map(|(_, value)| Some(std::str::from_utf8(&value.0).ok()?.trim().to_owned()))
            .filter(|value| value.len() >= SHORTEST_SECRET)
            .collect();
        // One value can be a part of another.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Ok(Self {
            rules: RULES.iter().map(|rule| Regex::new(rule)).collect::<Result<_, _>>()?,
            secret_name: Regex::new("(?i)(password|passwd|secret|token|api_?key|private_?key|cookie)")?,
            known,
        })
    }

    /// A text without what is known or looks like a secret.
    pub fn text(&self, text: &str) -> String {
        let mut text = self.without_known(text);
        for (index, rule) in self.rules.iter().enumerate() {
            let end = if index == 0 { "@" } else { "" };
            let hide = |found: &Captures<'_>| format!("{}{HIDDEN}{end}", &found[1]);
            text = rule.replace_all(&text, hide).into_owned();
        }
        text
    }

    /// A text without the values of the known Secrets.
    pub fn without_known(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, value| text.replace(value, HIDDEN))
    }

    /// An object without what is known or looks like a secret, and without who wrote which field of it.
    pub fn object(&self, object: &mut Value) {
        match object {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.object(item)),
            Value::Object(fields) => {
                fields.remove("managedFields");
                fields.remove(LAST_APPLIED);
                let name = fields.get("name").and_then(Value::as_str);
                let is_secret = name.is_some_and(|name| self.secret_name.is_match(name));
                if let Some(value) = fields.get_mut("value").filter(|_| is_secret) {
                    *value = json!(HIDDEN);
                }
                fields.values_mut().for_each(|field| self.object(field));
            }
            _ => {}
        }
    }
}

/// What may be told of a Secret: its keys, and how long their values are.
pub fn outline(secret: &Secret) -> Value {
    let sizes: BTreeMap<&String, String> =
        secret.data.iter().flatten().map(|(key, value)| (key, format!("{} bytes", value.0.len()))).collect();
    json!({"name": secret.name_any(), "type": secret.type_, "labels": secret.labels(), "keys": sizes})
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
    fn what_looks_like_a_secret_is_taken_out_of_a_text() {
        for (text, expected) in [
            (format!("url=postgres://u:{CANARY}@h:5432/d ok"), "url=postgres://***@h:5432/d ok".to_owned()),
            (format!("amqp://u:{CANARY}@{CANARY}@h/shop"), "amqp://***@h/shop".to_owned()),
            (format!("mongodb://u:{CANARY}/x@h/db"), "mongodb://***@h/db".to_owned()),
            (format!("authorization: Bearer {CANARY}.x"), "authorization: *** ***".to_owned()),
            (format!("sent Bearer {CANARY}, then"), "sent Bearer ***, then".to_owned()),
            (format!("with eyJhbGciOi.{CANARY}.sig-1"), "with ***".to_owned()),
            (format!("GET /verify-email?token={CANARY}&a=b"), "GET /verify-email?token=***&a=b".to_owned()),
            (
                format!(r#"{{"email":"a@b.test","password":"{CANARY}"}}"#),
                r#"{"email":"a@b.test","password":"***"}"#.to_owned(),
            ),
            (format!(r#"{{\"refreshToken\":\"{CANARY}\"}}"#), r#"{\"refreshToken\":\"***\"}"#.to_owned()),
            (format!("SHOP_DB_PASSWORD={CANARY} x"), "SHOP_DB_PASSWORD=*** x".to_owned()),
            (
                format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\nend"),
                "-----BEGIN PRIVATE KEY-----***\nend".to_owned(),
            ),
        ] {
            assert_eq!(stranger().text(&text), expected);
        }
    }

    #[test]
    fn harmless_text_stays() {
        for text in ["GET http://acorn-order:8080/api/v1/orders 200", "tokens 5", "key=value", "admin@acorn.test wrote"]
        {
            assert_eq!(stranger().text(text), text);
        }
    }

    #[test]
    fn the_value_of_a_known_secret_is_taken_out_wherever_it_stands() {
        let redactor = Redactor::new(&[secret()]).unwrap();
        assert_eq!(redactor.text(&format!("the broker said {CANARY}!")), "the broker said ***!");
        assert_eq!(redactor.text("postgres starts"), "postgres starts", "a user's name is no secret");
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
            ]},
        });
        stranger().object(&mut deployment);
        let expected = json!({
            "metadata": {"name": "acorn-order", "annotations": {"note": "mine"}},
            "spec": {"env": [
                {"name": "SHOP_LOG", "value": "info"},
                {"name": "SHOP_URL", "value": "redis://***@acorn-redis:6379"},
                {"name": "SMTP_PASSWORD", "value": "***"},
                {"name": "SHOP_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "acorn-order", "key": "password"}}},
            ]},
        });
        assert_eq!(deployment, expected);
    }

    #[test]
    fn of_a_secret_only_its_keys_and_sizes_are_told() {
        let told = outline(&secret());
        assert_eq!(told["keys"], json!({"password": "13 bytes", "username": "8 bytes"}));
        assert!(!told.to_string().contains(CANARY));
    }
}
