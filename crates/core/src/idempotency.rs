//! Requests that may come twice and count once (draft-ietf-httpapi-idempotency-key-header).

use crate::Fault;

/// The longest key.
const MAX_LENGTH: usize = 255;

/// What makes two requests of one user to one route the same request: the client's key, and a hash of what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    key: String,
    fingerprint: [u8; 32],
}

impl RequestKey {
    /// `key` as it was sent, with the SHA-256 of the body it came with.
    pub fn new(key: &str, fingerprint: [u8; 32]) -> Result<Self, Fault> {
        if (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self { key: key.to_owned(), fingerprint });
        }
        let message = format!("must be 1 to {MAX_LENGTH} visible ASCII characters, for instance a UUID");
        Err(Fault::invalid_field("Idempotency-Key", "format", message))
    }

    /// The key, opaque to us.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The hash of the body.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The answer to a key that was used for something else.
    #[must_use]
    pub fn reused() -> Fault {
        Fault::conflict(Self::REUSED, "This Idempotency-Key was used with another body, choose a new one")
    }

    /// The answer while the first request of a key is not done.
    #[must_use]
    pub fn in_progress() -> Fault {
        let public = "The first request with this Idempotency-Key is still running, send it again in a moment";
        Fault::conflict(Self::IN_PROGRESS, public)
    }

    /// The code of [`RequestKey::reused`].
    pub const REUSED: &str = "idempotency_key_reused";
    /// The code of [`RequestKey::in_progress`].
    pub const IN_PROGRESS: &str = "idempotency_key_in_progress";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_to_255_visible_ascii_characters() {
        let longest = "k".repeat(MAX_LENGTH);
        for key in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "\"quoted\"", longest.as_str()] {
            assert_eq!(RequestKey::new(key, [0; 32]).unwrap().key(), key);
        }
        let too_long = longest.clone() + "k";
        for key in ["", " ", "two words", "tab\t", "clé", too_long.as_str()] {
            let fault = RequestKey::new(key, [0; 32]).err().unwrap();
            assert_eq!(fault.fields()[0].field, "Idempotency-Key", "{key:?}");
        }
    }
}
