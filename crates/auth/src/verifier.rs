//! Verifies access tokens with the mounted public keys.

use std::{collections::HashMap, path::Path};

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use secrecy::SecretString;
use shop_config::Auth;
use shop_core::Fault;

use crate::{ALGORITHM, Caller, Claims, install_crypto};

/// Clocks of two machines may differ by this many seconds.
const LEEWAY_SECONDS: u64 = 5;
/// Far above any token of ours; a longer one is not worth a signature check.
const MAX_TOKEN_BYTES: usize = 4096;

/// A key set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file is not there or not readable.
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
}

/// The public keys by `kid`, and what a token must say.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// Reads the mounted key set.
    pub fn from_config(config: &Auth) -> Result<Self, KeysError> {
        let text = read(&config.jwks_file)?;
        Self::new(&text, &config.issuer, &config.audience)
    }

    /// Verifies against the keys of `jwks`, a JWK set in JSON.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Self, KeysError> {
        install_crypto();
        let set: JwkSet = serde_json::from_str(jwks)?;
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().ok_or_else(|| KeysError::Unusable("a key has no kid".to_owned()))?;
            let key = DecodingKey::from_jwk(jwk).map_err(|error| KeysError::Unusable(error.to_string()))?;
            keys.insert(kid, key);
        }
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        Ok(Self { keys, validation })
    }

    /// The caller a token stands for. One text for every way a token can be bad: the log has the reason.
    pub fn verify(&self, token: &str) -> Result<Caller, Fault> {
        let refuse =
            |cause: String| Fault::unauthenticated("The access token is not valid; log in again").caused_by(cause);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refuse("token too long".to_owned()));
        }
        let header = decode_header(token).map_err(|error| refuse(error.to_string()))?;
        let kid = header.kid.ok_or_else(|| refuse("token without kid".to_owned()))?;
        let key = self.keys.get(&kid).ok_or_else(|| refuse(format!("unknown kid {kid:?}")))?;
        let claims = decode::<Claims>(token, key, &self.validation).map_err(|error| refuse(error.to_string()))?.claims;
        Ok(Caller { id: claims.sub, roles: claims.roles, token: SecretString::from(token) })
    }

    /// The caller of an `Authorization` header's value.
    pub fn verify_header(&self, authorization: Option<&str>) -> Result<Caller, Fault> {
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| Fault::unauthenticated("Log in first: send Authorization: Bearer <access token>"))?;
        self.verify(token)
    }
}

fn read(path: &Path) -> Result<String, KeysError> {
    std::fs::read_to_string(path).map_err(|source| KeysError::Unreadable { path: path.display().to_string(), source })
}
