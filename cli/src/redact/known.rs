//! The values of Secrets that are known, in every spelling in which they get into texts.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::{HIDDEN, patterns::Patterns};

/// Shorter values would be found in the middle of harmless words.
pub const SHORTEST: usize = 8;
/// Even shorter ones, where a key or a URL says that they are secret, are looked for as words, down to this length.
pub const SHORTEST_WORD: usize = 4;
/// Shorter lines of a file that is no key could stand anywhere.
const SHORTEST_LINE: usize = 16;
/// Keys of Secrets whose values are no secrets, and would make the rest unreadable when they were taken out.
const HARMLESS_KEYS: [&str; 10] =
    ["username", "user", "host", "port", "database", "from", "tls", "ca.crt", "tls.crt", "renew-after"];
/// Fields of JSON whose names do not tell that they are secret: of a registry's log-in, and of keys of tokens.
const SECRET_FIELDS: [&str; 3] = ["auth", "d", "k"];
/// What encoders leave as it is besides letters and digits: in any part of a URL, in its user, and in its query.
const KEPT_IN_URLS: [&str; 4] = ["-._~", "-._*", "-._~!$&'()*+,;=", "-._~!$&'()*+,;=:/?@"];

/// Finds them.
pub struct Known {
    anywhere: AhoCorasick,
    words: AhoCorasick,
}

impl Known {
    /// The values of these Secrets, and what is secret within them.
    pub fn new(secrets: &[Secret], patterns: &Patterns) -> Result<Self, BuildError> {
        let mut values = Values { patterns, anywhere: BTreeSet::new(), words: BTreeSet::new() };
        for (key, value) in secrets.iter().flat_map(|secret| secret.data.iter().flatten()) {
            if !HARMLESS_KEYS.contains(&key.as_str()) {
                values.take(key, &value.0);
            }
        }
        Ok(Self { anywhere: searcher(&values.anywhere)?, words: searcher(&values.words)? })
    }

    /// A text without them.
    pub fn hide(&self, text: &str) -> String {
        let mut rest = String::with_capacity(text.len());
        self.anywhere.replace_all_with(text, &mut rest, |_, _, rest| {
            rest.push_str(HIDDEN);
            true
        });
        let mut hidden = String::with_capacity(rest.len());
        self.words.replace_all_with(&rest, &mut hidden, |found, word, hidden| {
            let inside = rest[..found.start()].ends_with(char::is_alphanumeric)
                || rest[found.end()..].starts_with(char::is_alphanumeric);
            hidden.push_str(if inside { word } else { HIDDEN });
            true
        });
        hidden
    }
}

/// One value can be a part of another, so the longest counts.
fn searcher(values: &BTreeSet<String>) -> Result<AhoCorasick, BuildError> {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values)
}

/// What is looked for.
struct Values<'a> {
    patterns: &'a Patterns,
    anywhere: BTreeSet<String>,
    words: BTreeSet<String>,
}

impl Values<'_> {
    fn take(&mut self, key: &str, value: &[u8]) {
        let Ok(text) = std::str::from_utf8(value) else {
            // Such bytes get into a text as base64 only.
            if value.len() >= SHORTEST {
                self.anywhere.extend(in_base64(value));
            }
            return;
        };
        let text = text.trim();
        if text.len() >= SHORTEST || self.patterns.is_secret(key) {
            self.add(text);
        }
        for part in self.parts(text) {
            self.add(&part);
        }
    }

    fn add(&mut self, value: &str) {
        match value.len() {
            SHORTEST.. => self.anywhere.extend(in_text(value).into_iter().chain(in_base64(value.as_bytes()))),
            SHORTEST_WORD.. => self.words.extend(in_text(value)),
            _ => {}
        }
    }

    /// What is secret by itself within a value: the password in a URL, the lines of a file, fields of JSON.
    fn parts(&self, text: &str) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some(password) = url_password(text) {
            parts.extend([decoded(password), password.to_owned()]);
        }
        if let Ok(json) = serde_json::from_str(text) {
            self.fields(&json, &mut parts);
        } else if text.lines().count() > 1 {
            let shortest = if text.contains("-----BEGIN ") { SHORTEST_WORD } else { SHORTEST_LINE };
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= shortest && !line.starts_with("-----"));
            parts.extend(lines.map(str::to_owned));
        }
        parts
    }

    fn fields(&self, json: &Value, parts: &mut Vec<String>) {
        match json {
            Value::Array(items) => items.iter().for_each(|item| self.fields(item, parts)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    let secret = SECRET_FIELDS.contains(&name.as_str()) || self.patterns.is_secret(name);
                    match field {
                        Value::String(text) if secret => parts.push(text.clone()),
                        field => self.fields(field, parts),
                    }
                }
            }
            _ => {}
        }
    }
}

fn url_password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    // A password that nobody encoded can have a slash in it.
    let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@').or_else(|| rest.rsplit_once('@'))?;
    Some(user.split_once(':')?.1)
}

/// A text as it is, in quotes of JSON, of JSON within JSON and of YAML, and in a URL.
fn in_text(value: &str) -> Vec<String> {
    let json = in_json(value);
    let (slashes, html) = (json.replace('/', r"\/"), in_html(&json));
    let urls = KEPT_IN_URLS.iter().flat_map(|kept| {
        let encoded = in_url(value, kept);
        [encoded.replace("%20", "+"), lower_case(&encoded), encoded]
    });
    let quoted = [value.to_owned(), value.replace('\'', "''"), in_json(&json), slashes, html, json];
    urls.chain(quoted).collect()
}

fn in_json(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As Go writes JSON.
fn in_html(json: &str) -> String {
    json.replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e")
}

fn in_url(value: &str, kept: &str) -> String {
    let encode = |byte: u8| {
        let kept = byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte);
        if kept { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    value.bytes().map(encode).collect()
}

/// The same with codes in lower case.
fn lower_case(encoded: &str) -> String {
    let mut left = 0_u8;
    let lower = |character: char| {
        let code = left > 0;
        left = if character == '%' { 2 } else { left.saturating_sub(1) };
        if code { character.to_ascii_lowercase() } else { character }
    };
    encoded.chars().map(lower).collect()
}

fn decoded(encoded: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What base64 makes of bytes, wherever they begin in what is encoded: the characters that depend on nothing else.
fn in_base64(bytes: &[u8]) -> Vec<String> {
    let mut found = vec![STANDARD.encode(bytes)];
    for before in 0..3 {
        let encoded = STANDARD.encode([vec![0; before].as_slice(), bytes].concat());
        let own = (before * 8).div_ceil(6)..(before + bytes.len()) * 8 / 6;
        found.push(encoded[own].to_owned());
    }
    let in_urls: Vec<String> = found.iter().map(|text| text.replace('+', "-").replace('/', "_")).collect();
    found.extend(in_urls);
    found
}

#[cfg(test)]
mod tests;
