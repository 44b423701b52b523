//! Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037). The user service mints them, every other
//! service verifies them with mounted public keys and never asks.
//!
//! Keys are changed while everything runs: the new public key is published beside the old one, then the new private key is
//! mounted, and when the last token of the old key has expired, the old public key goes.

mod caller;
mod followed;
mod key_set;
mod ring_provider;
mod signer;
mod verifier;

pub use caller::{Caller, Role};
pub use key_set::KeysError;
pub use ring_provider::install_crypto;
pub use signer::{ACCESS_TOKEN_LIFE, Signer, SignerError};
pub use verifier::Verifier;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The one algorithm; a token that names another is refused before any key is looked at.
const ALGORITHM: jsonwebtoken::Algorithm = jsonwebtoken::Algorithm::EdDSA;

/// The claims of an access token. `role` is the highest of `roles`, for clients of the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    roles: Vec<Role>,
    role: Role,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: Uuid,
}
