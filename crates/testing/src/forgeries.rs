//! Access tokens that nobody may come in with, each made the way an attacker would.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::TestTokens;

const MINUTE: i64 = 60;

/// What an attacker has to work with, and the claims of a token that would be good.
struct Forger {
    /// Our key: only for tokens that we would not have made.
    ours: Ed25519KeyPair,
    theirs: Ed25519KeyPair,
    jwks: String,
    claims: Value,
}

/// Tokens of an admin that must all be refused, with a word on each. The last proof that they are refused for what is wrong
/// with them is [`genuine`]: made the same way, and good.
#[must_use]
pub fn forgeries(tokens: &TestTokens) -> Vec<(String, String)> {
    let forger = Forger::new(tokens);
    let mut all = forger.algorithms();
    all.extend(forger.keys());
    all.extend(forger.claims());
    all.extend(forger.texts());
    all
}

/// A good token, made by the same hands as the forgeries.
#[must_use]
pub fn genuine(tokens: &TestTokens) -> String {
    let forger = Forger::new(tokens);
    forger.signed(&forger.ours, &header(), &forger.claims)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "test"})
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn merged(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().into_iter().flatten() {
        value[name] = change.clone();
    }
    value
}

fn key_pair() -> Ed25519KeyPair {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random numbers");
    Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("our own key")
}

impl Forger {
    fn new(tokens: &TestTokens) -> Self {
        let body: String = tokens.signing_key.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).expect("PEM");
        let config = tokens.config();
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": config.issuer, "aud": config.audience, "sub": Uuid::now_v7(), "jti": Uuid::now_v7(),
            "roles": ["buyer", "seller", "admin"], "role": "admin", "iat": now, "nbf": now, "exp": now + 10 * MINUTE,
        });
        Self {
            ours: Ed25519KeyPair::from_pkcs8(&der).expect("our own key"),
            theirs: key_pair(),
            jwks: std::fs::read_to_string(&config.jwks_file).expect("our own keys"),
            claims,
        }
    }

    fn signed(&self, key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Other algorithms than ours, signed by what the attacker knows: nothing, or the public key.
    fn algorithms(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for algorithm in ["none", "None", "NONE", "nOnE", ""] {
            let message =
                format!("{}.{}", encoded(&merged(header(), &json!({"alg": algorithm}))), encoded(&self.claims));
            all.push((format!("alg {algorithm:?} without a signature"), format!("{message}.")));
            let (_, signature) = message.split_at(20);
            all.push((format!("alg {algorithm:?} with some signature"), format!("{message}.{signature}")));
        }
        let raw = self.ours.public_key().as_ref().to_vec();
        let public = [
            ("the public key", raw.clone()),
            ("the public key in base64", URL_SAFE_NO_PAD.encode(&raw).into_bytes()),
            ("the key set", self.jwks.clone().into_bytes()),
        ];
        for (what, secret) in public {
            let message = format!("{}.{}", encoded(&merged(header(), &json!({"alg": "HS256"}))), encoded(&self.claims));
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            let signature = URL_SAFE_NO_PAD.encode(signature);
            all.push((format!("HS256 with {what} as the secret"), format!("{message}.{signature}")));
        }
        for algorithm in ["HS256", "RS256", "ES256", "PS256", "eddsa", "Ed448"] {
            let token = self.signed(&self.ours, &merged(header(), &json!({"alg": algorithm})), &self.claims);
            all.push((format!("alg {algorithm} on our signature"), token));
        }
        all
    }

    /// Keys that are not ours, and headers that try to bring one along.
    fn keys(&self) -> Vec<(String, String)> {
        let x = URL_SAFE_NO_PAD.encode(self.theirs.public_key().as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "test", "x": x});
        let changes = [
            ("another key under our kid", json!({})),
            ("a key that comes along", json!({"jwk": jwk})),
            ("a key that comes along under its own kid", json!({"jwk": jwk, "kid": "mine"})),
            ("keys from elsewhere", json!({"jku": "https://attacker.example/jwks.json", "kid": "mine"})),
            ("a certificate from elsewhere", json!({"x5u": "https://attacker.example/c.pem", "x5c": ["AAAA"]})),
            ("a path as kid", json!({"kid": "../../../../dev/null"})),
            ("SQL as kid", json!({"kid": "test' OR '1'='1"})),
            ("no kid", json!({"kid": null})),
            ("a number as kid", json!({"kid": 7})),
        ];
        let mut all: Vec<_> = changes
            .into_iter()
            .map(|(what, change)| {
                (what.to_owned(), self.signed(&self.theirs, &merged(header(), &change), &self.claims))
            })
            .collect();
        for kid in [json!("other"), json!(""), json!("TEST"), Value::Null] {
            let token = self.signed(&self.ours, &merged(header(), &json!({"kid": kid})), &self.claims);
            all.push((format!("our key under the kid {kid}"), token));
        }
        all
    }

    /// Signed by us, and still not for here and now.
    fn claims(&self) -> Vec<(String, String)> {
        let now = Timestamp::now().as_second();
        let changes = [
            json!({"exp": now - MINUTE}),
            json!({"exp": 0}),
            json!({"exp": -1}),
            json!({"exp": "tomorrow"}),
            json!({"exp": (now + MINUTE).to_string()}),
            json!({"nbf": now + MINUTE}),
            json!({"nbf": "now"}),
            json!({"iss": "https://attacker.example"}),
            json!({"iss": ""}),
            json!({"aud": "another-shop"}),
            json!({"aud": ["another-shop"]}),
            json!({"sub": "admin"}),
            json!({"sub": 1}),
            json!({"roles": ["root"]}),
            json!({"roles": "admin"}),
        ];
        let changed = changes.iter().map(|change| (change.to_string(), merged(self.claims.clone(), change)));
        let missing = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "roles", "role"].map(|name| {
            let mut claims = self.claims.clone();
            claims.as_object_mut().expect("an object").remove(name);
            (format!("no {name}"), claims)
        });
        let odd = [("no claims".to_owned(), json!({})), ("a list of claims".to_owned(), json!([]))];
        let all = changed.chain(missing).chain(odd);
        all.map(|(what, claims)| (what, self.signed(&self.ours, &header(), &claims))).collect()
    }

    /// A good token that was written on, and texts that are none.
    fn texts(&self) -> Vec<(String, String)> {
        let buyer = merged(self.claims.clone(), &json!({"roles": ["buyer"], "role": "buyer"}));
        let token = self.signed(&self.ours, &header(), &buyer);
        let [head, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let long = merged(self.claims.clone(), &json!({"padding": "x".repeat(8 * 1024)}));
        let other = self.signed(&self.ours, &header(), &merged(buyer.clone(), &json!({"jti": Uuid::now_v7()})));
        let (_, foreign) = other.rsplit_once('.').expect("three parts");
        let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(signature).expect("base64"));
        let texts = [
            ("claims that were changed", format!("{head}.{}.{signature}", encoded(&self.claims))),
            (
                "a header that was changed",
                format!("{}.{claims}.{signature}", encoded(&merged(header(), &json!({"typ": "at"})))),
            ),
            ("the signature of another token", format!("{head}.{claims}.{foreign}")),
            ("half a signature", format!("{head}.{claims}.{}", &signature[..signature.len() / 2])),
            ("no signature", format!("{head}.{claims}.")),
            ("no third part", format!("{head}.{claims}")),
            ("a padded signature", format!("{head}.{claims}.{padded}")),
            ("four parts", format!("{token}.{signature}")),
            ("five parts", format!("{token}.{signature}.{signature}")),
            ("a token of 11 KiB", self.signed(&self.ours, &header(), &long)),
            ("a word", "token".to_owned()),
            ("two dots", "..".to_owned()),
            ("JSON", "{\"sub\":\"admin\"}".to_owned()),
            ("null", "null".to_owned()),
        ];
        texts.map(|(what, text)| (what.to_owned(), text)).into()
    }
}
