//! Ed25519 by ring for `jsonwebtoken`, whose own back ends would add a second cryptography library.

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer, Verifier},
};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use crate::ALGORITHM;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        require_eddsa(*algorithm)?;
        Ok(Box::new(RingSigner::new(key)?))
    },
    verifier_factory: |algorithm, key| {
        require_eddsa(*algorithm)?;
        Ok(Box::new(RingVerifier::new(key)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the process's JWT cryptography. Calling it again changes nothing.
pub fn install_crypto() {
    let _ = PROVIDER.install_default();
}

fn require_eddsa(algorithm: Algorithm) -> Result<(), Error> {
    if algorithm == ALGORITHM { Ok(()) } else { Err(ErrorKind::InvalidAlgorithm.into()) }
}

struct RingSigner(Ed25519KeyPair);

impl RingSigner {
    fn new(key: &EncodingKey) -> Result<Self, Error> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
        Ok(Self(pair))
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        ALGORITHM
    }
}

struct RingVerifier(Vec<u8>);

impl RingVerifier {
    fn new(key: &DecodingKey) -> Result<Self, Error> {
        Ok(Self(key.try_get_as_bytes()?.to_vec()))
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signed).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        ALGORITHM
    }
}
