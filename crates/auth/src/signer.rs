//! Mints access tokens; only the user service holds the keys.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use shop_config::Auth;
use uuid::Uuid;

use crate::{
    ALGORITHM, Claims, KeysError, Role,
    followed::Followed,
    install_crypto,
    key_set::{KeySet, read, unreadable},
};

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

/// Holds the signing keys and uses the newest.
pub struct Signer {
    key: Followed<Mounted, SigningKey>,
    issuer: String,
    audience: String,
}

/// What the files say: private keys by file name, and the set of public keys.
#[derive(PartialEq)]
struct Mounted {
    folder: String,
    keys: Vec<(String, Vec<u8>)>,
    published: String,
}

struct SigningKey {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// Signs with the key in `pem`, published under `kid`.
    pub fn new(pem: &[u8], kid: &str, issuer: &str, audience: &str) -> Result<Self, SignerError> {
        let key = Followed::fixed(SigningKey::new(&private_key(pem)?.0, kid));
        Ok(Self { key, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// Signs with the newest key of `folder`: the last of its `*.pem` by name that the key set of `auth` publishes, so that
    /// nobody gets a token that nobody can verify yet. Follows both.
    pub fn follow(folder: &Path, auth: &Auth) -> Result<Self, KeysError> {
        let (folder, jwks_file) = (folder.to_owned(), auth.jwks_file.clone());
        let key = Followed::new(move || Mounted::read(&folder, &jwks_file), newest, Instant::now())?;
        Ok(Self { key, issuer: auth.issuer.clone(), audience: auth.audience.clone() })
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
        let signing = self.key.get(Instant::now());
        Ok(encode(&signing.header, &claims, &signing.key)?)
    }
}

impl Mounted {
    fn read(folder: &Path, jwks_file: &Path) -> Result<Self, KeysError> {
        let failed = |source| unreadable(folder, source);
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            if path.extension().is_some_and(|extension| extension == "pem") && !name.starts_with('.') {
                keys.push((name, std::fs::read(path).map_err(failed)?));
            }
        }
        keys.sort();
        Ok(Self { folder: folder.display().to_string(), keys, published: read(jwks_file)? })
    }
}

impl SigningKey {
    fn new(der: &PrivatePkcs8KeyDer<'_>, kid: &str) -> Self {
        install_crypto();
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(ALGORITHM) };
        Self { key: EncodingKey::from_ed_der(der.secret_pkcs8_der()), header }
    }
}

fn newest(mounted: &Mounted) -> Result<SigningKey, KeysError> {
    let published = KeySet::parse(&mounted.published)?;
    for (name, pem) in mounted.keys.iter().rev() {
        let (der, pair) = private_key(pem).map_err(|error| KeysError::Unusable(format!("{name}: {error}")))?;
        if let Some(kid) = published.kid_of(pair.public_key().as_ref()) {
            return Ok(SigningKey::new(&der, kid));
        }
    }
    Err(KeysError::Unpublished(mounted.folder.clone()))
}

fn private_key(pem: &[u8]) -> Result<(PrivatePkcs8KeyDer<'static>, Ed25519KeyPair), SignerError> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SignerError::Key)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| SignerError::Key)?;
    Ok((der, pair))
}
