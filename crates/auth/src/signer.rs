//! Mints access tokens; only the user service holds the key.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use uuid::Uuid;

use crate::{ALGORITHM, Claims, Role, install_crypto};

/// How long an access token lives.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(15);

/// A signing key that cannot be used, or a token that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The PEM does not hold a PKCS#8 Ed25519 key (RFC 8410).
    #[error("the signing key is not an Ed25519 key in PKCS#8 PEM")]
    Key,
    /// Signing failed.
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Holds the signing key.
pub struct Signer {
    key: EncodingKey,
    header: Header,
    issuer: String,
    audience: String,
}

impl Signer {
    /// Signs with the key in `pem`, published under `kid`.
    pub fn new(pem: &[u8], kid: &str, issuer: &str, audience: &str) -> Result<Self, SignerError> {
        install_crypto();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SignerError::Key)?;
        let der = der.secret_pkcs8_der();
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| SignerError::Key)?;
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(ALGORITHM) };
        Ok(Self {
            key: EncodingKey::from_ed_der(der),
            header,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// A token for `user`, good from `now` for [`ACCESS_TOKEN_LIFE`].
    pub fn mint(&self, user: Uuid, roles: &[Role], token_id: Uuid, now: Timestamp) -> Result<String, SignerError> {
        let issued = now.as_second();
        let life = i64::try_from(ACCESS_TOKEN_LIFE.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user,
            roles: roles.to_vec(),
            role: roles.iter().copied().max().unwrap_or(Role::Buyer),
            exp: issued.saturating_add(life),
            nbf: issued,
            iat: issued,
            jti: token_id,
        };
        Ok(encode(&self.header, &claims, &self.key)?)
    }
}
