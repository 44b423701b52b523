//! The published keys: a JWK set (RFC 7517).

use std::{collections::HashMap, path::Path, sync::Arc};

use jsonwebtoken::{DecodingKey, jwk::JwkSet};

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file or folder is not there or not readable.
    #[error("the token keys cannot be read from {path}: {source}")]
    Unreadable {
        /// Where they were looked for.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a JWK set.
    #[error("the token keys are not a JWK set (RFC 7517): {0}")]
    Malformed(#[from] serde_json::Error),
    /// A key of the set is not an Ed25519 key with a `kid`.
    #[error("every token key needs a kid and kty OKP: {0}")]
    Unusable(String),
    /// Nobody could verify what any of our private keys signs.
    #[error("no file *.pem in {0} holds a private key whose public key is in the key set")]
    Unpublished(String),
}

/// The public keys by `kid`.
pub(crate) struct KeySet {
    /// As it was published.
    pub text: Arc<str>,
    keys: HashMap<String, DecodingKey>,
}

impl KeySet {
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let set: JwkSet = serde_json::from_str(text)?;
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().ok_or_else(|| KeysError::Unusable("a key has no kid".to_owned()))?;
            let key = DecodingKey::from_jwk(jwk).map_err(|error| KeysError::Unusable(error.to_string()))?;
            keys.insert(kid, key);
        }
        Ok(Self { text: text.into(), keys })
    }

    pub fn key(&self, kid: &str) -> Option<&DecodingKey> {
        self.keys.get(kid)
    }

    /// The name under which a public key is published.
    pub fn kid_of(&self, public_key: &[u8]) -> Option<&str> {
        let mut keys = self.keys.iter();
        let found = keys.find(|(_, key)| key.try_get_as_bytes().is_ok_and(|bytes| bytes == public_key));
        found.map(|(kid, _)| kid.as_str())
    }
}

pub(crate) fn read(path: &Path) -> Result<String, KeysError> {
    std::fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> KeysError {
    KeysError::Unreadable { path: path.display().to_string(), source }
}
