//! Key pairs: of access tokens, Ed25519, with the public halves as a JSON Web Key Set; and of certificates.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const HEADER: &str = "-----BEGIN PRIVATE KEY-----";
const FOOTER: &str = "-----END PRIVATE KEY-----";
/// RFC 7468 wants lines of this length.
const PEM_LINE: usize = 64;

/// Length of the secret part of an Ed25519 key.
pub const SEED_BYTES: usize = 32;
/// What stands before the seed in a PKCS#8 v1 Ed25519 key (RFC 8410, section 7).
const PKCS8_V1: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What is known of a signing key to everybody.
#[derive(Clone)]
pub struct SigningKey {
    /// The key id: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The public key as a JSON Web Key.
    jwk: Value,
}

/// A stored signing key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the signing key is not an Ed25519 key in PKCS#8 PEM")]
pub struct BadKey;

/// Makes a new private key in PKCS#8 PEM; `None` when the system has no randomness.
#[must_use]
pub fn generate(random: &dyn SecureRandom) -> Option<String> {
    let der = Ed25519KeyPair::generate_pkcs8(random).ok()?;
    Some(to_pem(der.as_ref()))
}

/// The same for a certificate: ECDSA on P-256. What is signed with Ed25519 has no digest of its own, and `psql` for one does not
/// log in over it.
#[must_use]
pub fn generate_for_certificate(random: &dyn SecureRandom) -> Option<String> {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, random).ok()?;
    Some(to_pem(der.as_ref()))
}

/// The private key of a seed in PKCS#8 PEM, for output that must not change from run to run.
#[must_use]
pub fn of_seed(seed: &[u8; SEED_BYTES]) -> String {
    to_pem(&[&PKCS8_V1[..], &seed[..]].concat())
}

/// A JSON Web Key Set.
#[must_use]
pub fn set(keys: &[SigningKey]) -> String {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string()
}

impl SigningKey {
    /// Reads a private key and derives the rest.
    pub fn parse(pem: &str) -> Result<Self, BadKey> {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body.trim()).map_err(|_| BadKey)?;
        // Also without the public half: that is what OpenSSL writes.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| BadKey)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        // RFC 7638: the required members in alphabetical order, without blanks.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        let jwk = json!({"alg": "EdDSA", "crv": "Ed25519", "kid": kid, "kty": "OKP", "use": "sig", "x": x});
        Ok(Self { kid, jwk })
    }
}

fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("{HEADER}\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str(FOOTER);
    pem.push('\n');
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and thumbprint of RFC 8037, appendix A: what every implementation must agree on.
    #[test]
    fn thumbprint_is_the_one_of_rfc_8037() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64");
        let key = SigningKey::parse(&of_seed(&seed.try_into().expect("32 bytes"))).expect("the key of the RFC");
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert!(set(&[key]).contains("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    }

    #[test]
    fn a_generated_key_parses_and_its_id_is_in_the_key_set() {
        let pem = generate(&ring::rand::SystemRandom::new()).expect("randomness");
        let key = SigningKey::parse(&pem).expect("own key");
        let jwks: Value = serde_json::from_str(&set(std::slice::from_ref(&key))).expect("json");
        assert_eq!(jwks["keys"][0]["kid"], key.kid.as_str());
        assert!(pem.lines().all(|line| line.len() <= PEM_LINE));
    }

    #[test]
    fn a_damaged_key_is_refused() {
        assert!(SigningKey::parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    }
}
