//! What looks like a secret, whoever's it is.

use regex::Regex;

/// What fields, variables and flags with secrets are called.
const NAMES: &str = r"[\w-]*(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|signature|(?:api|access|account|private|secret|signing|encryption)[_-]?key(?:[_-]?id)?)(?:[_-]?hash)?\d*";
/// What stands between such a name and its value, in an address too.
const IS: &str = r"(?::=|=>|[:=]|%3[ad])";

/// What is looked for, and what is put in its place. `NAMES` and `IS` stand for what is above.
const RULES: [(&str, &str); 13] = [
    // Credentials in a URL, up to the last @: a password may have one too.
    (r#"([a-zA-Z][a-zA-Z0-9+.-]*:(?:\\*/){2})[^\s"'<>\\]*@"#, "${1}***@"),
    (r#"(?i)([a-z][a-z0-9+.-]*%3a%2f%2f)[^\s"'<>\\&]*%40"#, "${1}***%40"),
    // Headers, in quotes or up to the end of the line: a cookie is a list.
    (r#"(?i)((?:authorization|cookie)\\*["']?[ \t]*[:=][ \t]*\[?[ \t]*\\*["'])(?:[^"\\\r\n]|\\.)+"#, "${1}***"),
    (r#"(?i)((?:authorization|cookie)[ \t]*[:=][ \t]*)[^\s"'\\\[][^"\r\n]*"#, "${1}***"),
    (r"(?i)\b((?:bearer|basic)(?:\s+|%20))[a-z0-9._~+/=-]{8,}", "${1}***"),
    // A JSON Web Token, wherever it is.
    (r"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}", "***"),
    // A private key, also one whose end or beginning is cut off.
    (
        r"(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----).*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        "${1}***",
    ),
    (r"[A-Za-z0-9+/=\s\\]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", "***"),
    // password: "...", the same in a string of JSON, and what Rust shows of an Option.
    (r#"(?is)(NAMES["']?\s*IS\s*(?:\w+\()?")(?:[^"\\]|\\.)*"#, "${1}***"),
    (r#"(?i)(NAMES(?:\\+["'])?\s*IS\s*(?:\w+\()?\\+")(?:[^"\\]|\\{2,}.)*"#, "${1}***"),
    (r#"(?i)(NAMES["']?\s*IS\s*(?:\w+\()?')[^'\r\n]*"#, "${1}***"),
    // password=...
    (r#"(?i)(NAMES\\*["']?[ \t]*IS[ \t]*)(?:[^\s"'&,;}\\]|\\\\|\\[^"'nrt\\])+"#, "${1}***"),
    // --password ...
    (r#"(?im)((?:^|[\s"'])--?NAMES[ \t]+)[^\s"']+"#, "${1}***"),
];

/// Finds it.
pub struct Patterns {
    rules: Vec<(Regex, &'static str)>,
    name: Regex,
    part_of_name: Regex,
}

impl Patterns {
    /// All of them.
    pub fn new() -> Result<Self, regex::Error> {
        let rule = |(rule, place): (&str, &'static str)| {
            Regex::new(&rule.replace("NAMES", NAMES).replace("IS", IS)).map(|rule| (rule, place))
        };
        let names = format!("(?i)(?:{NAMES}|authorization|cookie)");
        Ok(Self {
            rules: RULES.into_iter().map(rule).collect::<Result<_, _>>()?,
            name: Regex::new(&format!("{names}$"))?,
            part_of_name: Regex::new(&names)?,
        })
    }

    /// A text without what looks like a secret.
    pub fn hide(&self, text: &str) -> String {
        let hide = |text: String, (rule, place): &(Regex, &str)| rule.replace_all(&text, *place).into_owned();
        self.rules.iter().fold(text.to_owned(), hide)
    }

    /// Whether what is called so is a secret: `secretName` is none.
    pub fn is_secret(&self, name: &str) -> bool {
        self.name.is_match(name)
    }

    /// Whether what is called so could be one.
    pub fn may_be_secret(&self, name: &str) -> bool {
        self.part_of_name.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// What must never be in anything that is handed on.
    const CANARY: &str = "cAnAry-7f3a91";

    fn hide(text: &str) -> String {
        static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns::new().unwrap());
        PATTERNS.hide(text)
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_out_of_a_text() {
        for (text, expected) in [
            ("url=postgres://u:CANARY@h:5432/d ok", "url=postgres://***@h:5432/d ok"),
            ("amqp://u:CANARY@CANARY@h/shop", "amqp://***@h/shop"),
            ("mongodb://u:CANARY/x@h/db", "mongodb://***@h/db"),
            (r"https:\/\/u:CANARY@h\/x", r"https:\/\/***@h\/x"),
            ("to=amqp%3A%2F%2Fu%3ACANARY%40h%2Fshop", "to=amqp%3A%2F%2F***%40h%2Fshop"),
            ("authorization: Bearer CANARY.x", "authorization: ***"),
            ("Authorization: Basic CANARYCANARY==", "Authorization: ***"),
            (r#"{"Authorization":["Token CANARY"],"Accept":["*/*"]}"#, r#"{"Authorization":["***"],"Accept":["*/*"]}"#),
            ("Cookie: a=1; session=CANARY\nHost: h", "Cookie: ***\nHost: h"),
            ("sent Bearer CANARY, then", "sent Bearer ***, then"),
            ("with eyJhbGciOi.CANARY.sig-1", "with ***"),
            ("x_eyJhbGciOi.CANARY", "x_***"),
            ("GET /verify-email?token=CANARY&a=b", "GET /verify-email?token=***&a=b"),
            ("?to=%2Fverify%3Ftoken%3DCANARY", "?to=%2Fverify%3Ftoken%3D***"),
            (r#"{"email":"a@b.test","password":"CANARY"}"#, r#"{"email":"a@b.test","password":"***"}"#),
            (r#"{"password": "with \"CANARY\" and a space", "a": 1}"#, r#"{"password": "***", "a": 1}"#),
            (r#"{\"refreshToken\":\"CANARY\"}"#, r#"{\"refreshToken\":\"***\"}"#),
            ("password: 'two CANARY', x", "password: '***', x"),
            (r#"Login { password: Some("CANARY"), user: "u" }"#, r#"Login { password: ***"***"), user: "u" }"#),
            ("SHOP_DB_PASSWORD=CANARY x", "SHOP_DB_PASSWORD=*** x"),
            ("host=h password=CANARY user=u", "host=h password=*** user=u"),
            ("AWS_SECRET_ACCESS_KEY=CANARY", "AWS_SECRET_ACCESS_KEY=***"),
            ("run --smtp-password CANARY --port 5", "run --smtp-password *** --port 5"),
        ] {
            assert_eq!(hide(&text.replace("CANARY", CANARY)), expected, "{text}");
        }
    }

    #[test]
    fn a_private_key_is_taken_out_also_where_a_log_cuts_it() {
        let (begin, end) = ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
        let lines = "MHcCAQEEIB1hsZ3v\nVpguoRK9JLsxElHF==";
        assert_eq!(hide(&format!("key {begin}\n{lines}\n{end}\nend")), format!("key {begin}***\nend"));
        assert_eq!(hide(&format!("{begin}\\n{}", lines.replace('\n', "\\n"))), format!("{begin}***"));
        assert_eq!(hide(&format!("{lines}\n{end}\nready: yes")), "***\nready: yes");
        let public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        assert_eq!(hide(public), public);
    }

    #[test]
    fn harmless_text_stays() {
        for text in [
            "GET http://acorn-order:8080/api/v1/orders 200",
            "tokens 5",
            "key=value",
            "admin@acorn.test wrote",
            "secretKeyRef: {name: acorn-order}",
            "secretName: acorn-order",
            r#"Secret "acorn-mail" not found"#,
            "http_requests_total{route=\"/api/v1/orders\"} 7",
        ] {
            assert_eq!(hide(text), text);
        }
    }

    #[test]
    fn names_of_secrets_are_told_from_names_of_what_holds_them() {
        let patterns = Patterns::new().unwrap();
        for name in ["password", "DB_PASSWORD", "client-secret", "refreshToken", "apiKey", "password_hash"] {
            assert!(patterns.is_secret(name), "{name}");
        }
        for name in ["secretName", "secretKeyRef", "tokenExpirationSeconds", "name", "key", "topologyKey"] {
            assert!(!patterns.is_secret(name), "{name}");
        }
        assert!(patterns.may_be_secret("SECRET_VALUE"));
    }

    proptest! {
        #[test]
        fn the_user_of_an_address_is_taken_out_of_any_text(
            before in "[^:]{0,20}", password in "[a-zA-Z0-9%!@/:._~-]{1,30}", after in r#"([ "]\PC{0,20})?"#,
        ) {
            let hidden = hide(&format!("{before} amqp://u:0{password}0@h/shop{after}"));
            prop_assert!(!hidden.contains(&format!("0{password}0")), "{}", hidden);
        }

        #[test]
        fn a_field_that_is_called_a_password_loses_its_value_whatever_it_is(value in "[^*]{1,30}") {
            let json = serde_json::json!({"a": 1, "password": format!("<{value}>"), "b": 2});
            let twice = serde_json::json!({"log": json.to_string()});
            for text in [json.to_string(), twice.to_string()] {
                let hidden = hide(&text);
                let quoted = serde_json::json!(value).to_string();
                prop_assert!(!hidden.contains(&format!("<{}>", &quoted[1..quoted.len() - 1])), "{}", hidden);
            }
        }
    }
}
