//! Access tokens of users that need no user service.

use std::path::PathBuf;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ring::{rand::SystemRandom, signature::Ed25519KeyPair, signature::KeyPair as _};
use shop_auth::{Role, Signer};
use shop_config::Auth;
use uuid::Uuid;

use crate::unique_name;

const KID: &str = "test";
const ISSUER: &str = "shopkeeper://test/test";

/// A key pair of its own; the public half lies in a file that is removed with the value.
pub struct TestTokens {
    signer: Signer,
    /// The private key, PKCS#8 PEM.
    pub signing_key: String,
    jwks_file: PathBuf,
}

impl TestTokens {
    /// Makes a key pair.
    #[must_use]
    pub fn create() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random numbers");
        let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("our own key");
        let signing_key =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KID, "x": x});
        let jwks_file = std::env::temp_dir().join(unique_name());
        std::fs::write(&jwks_file, serde_json::json!({ "keys": [jwk] }).to_string()).expect("a temporary file");
        let signer = Signer::new(signing_key.as_bytes(), KID, ISSUER, ISSUER).expect("our own key");
        Self { signer, signing_key, jwks_file }
    }

    /// The settings of a service that verifies these tokens.
    #[must_use]
    pub fn config(&self) -> Auth {
        Auth { jwks_file: self.jwks_file.clone(), issuer: ISSUER.to_owned(), audience: ISSUER.to_owned() }
    }

    /// A token for `user`.
    #[must_use]
    pub fn mint(&self, user: Uuid, roles: &[Role]) -> String {
        self.signer.mint(user, roles, Uuid::new_v4(), Timestamp::now()).expect("our own key")
    }
}

impl Drop for TestTokens {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_file(&self.jwks_file);
    }
}
