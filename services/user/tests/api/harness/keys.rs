//! The keys of access tokens in files that a test changes.

use std::path::PathBuf;

use serde_json::{Value, json};
use shop_config::Auth;
use shop_testing::TestTokens;
use uuid::Uuid;

/// Keys in files, as the service finds them.
pub struct Keys {
    pub folder: PathBuf,
    first: KeyPair,
}

/// A key pair with the name under which it is published.
pub struct KeyPair {
    /// What mints with it.
    pub tokens: TestTokens,
    jwk: Value,
}

impl KeyPair {
    pub fn new(kid: &str) -> Self {
        let tokens = TestTokens::create();
        let published = std::fs::read(tokens.config().jwks_file).expect("the published key");
        let mut published: Value = serde_json::from_slice(&published).expect("a JWK set");
        let mut jwk = published["keys"][0].take();
        jwk["kid"] = json!(kid);
        Self { tokens, jwk }
    }
}

impl Keys {
    pub fn create() -> Self {
        let folder = std::env::temp_dir().join(Uuid::new_v4().to_string());
        std::fs::create_dir_all(folder.join("signing")).expect("a temporary folder");
        let keys = Self { folder, first: KeyPair::new("test") };
        keys.publish(&[&keys.first]);
        keys.mount("0001.pem", &keys.first);
        keys
    }

    /// The key that is there from the start.
    pub fn first(&self) -> &KeyPair {
        &self.first
    }

    /// Replaces the key set, in one step as the kubelet does.
    pub fn publish(&self, keys: &[&KeyPair]) {
        let jwks: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
        self.replace("jwks.json", &json!({ "keys": jwks }).to_string());
    }

    /// Adds a private key.
    pub fn mount(&self, file: &str, key: &KeyPair) {
        self.replace(&format!("signing/{file}"), &key.tokens.signing_key);
    }

    fn replace(&self, file: &str, content: &str) {
        let fresh = self.folder.join("fresh");
        std::fs::write(&fresh, content).expect("a temporary file");
        std::fs::rename(&fresh, self.folder.join(file)).expect("the same folder");
    }

    pub fn config(&self) -> Auth {
        let authority = "shopkeeper://test/test".to_owned();
        Auth { jwks_file: self.folder.join("jwks.json"), issuer: authority.clone(), audience: authority }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
