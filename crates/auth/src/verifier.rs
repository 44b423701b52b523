//! Verifies access tokens with the mounted public keys.

use std::{sync::Arc, time::Instant};

use jsonwebtoken::{Validation, decode, decode_header};
use secrecy::SecretString;
use shop_config::Auth;
use shop_core::Fault;

use crate::{
    ALGORITHM, Caller, Claims, KeysError,
    followed::Followed,
    install_crypto,
    key_set::{KeySet, read},
};

/// Clocks of two machines may differ by this many seconds.
const LEEWAY_SECONDS: u64 = 5;
/// Far above any token of ours; a longer one is not worth a signature check.
const MAX_TOKEN_BYTES: usize = 4096;

/// The public keys by `kid`, and what a token must say.
pub struct Verifier {
    keys: Followed<String, KeySet>,
    validation: Validation,
}

impl Verifier {
    /// Follows the mounted key set: keys that come are accepted, and keys that go refused, a few seconds later.
    pub fn from_config(config: &Auth) -> Result<Self, KeysError> {
        let path = config.jwks_file.clone();
        let keys = Followed::new(move || read(&path), |text| KeySet::parse(text), Instant::now())?;
        Ok(Self::of(keys, &config.issuer, &config.audience))
    }

    /// Verifies against the keys of `jwks`, a JWK set in JSON.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Self, KeysError> {
        Ok(Self::of(Followed::fixed(KeySet::parse(jwks)?), issuer, audience))
    }

    fn of(keys: Followed<String, KeySet>, issuer: &str, audience: &str) -> Self {
        install_crypto();
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        Self { keys, validation }
    }

    /// The keys that verify now, a JWK set in JSON.
    #[must_use]
    pub fn key_set(&self) -> Arc<str> {
        Arc::clone(&self.keys.get(Instant::now()).text)
    }

    /// The caller a token stands for. One text for every way a token can be bad: the log has the reason.
    pub fn verify(&self, token: &str) -> Result<Caller, Fault> {
        self.verify_at(token, Instant::now())
    }

    fn verify_at(&self, token: &str, now: Instant) -> Result<Caller, Fault> {
        let refuse =
            |cause: String| Fault::unauthenticated("The access token is not valid; log in again").caused_by(cause);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refuse("token too long".to_owned()));
        }
        let header = decode_header(token).map_err(|error| refuse(error.to_string()))?;
        let kid = header.kid.ok_or_else(|| refuse("token without kid".to_owned()))?;
        let keys = self.keys.get(now);
        let key = keys.key(&kid).ok_or_else(|| refuse(format!("unknown kid {kid:?}")))?;
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

#[cfg(test)]
mod tests;
