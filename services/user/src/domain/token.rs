//! Secrets we hand out and keep only as hashes: refresh tokens, and links in mails.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::bson_date;

const DAY: Duration = Duration::from_hours(24);
/// A refresh token that is not used for this long is dead.
const REFRESH_LIFE: Duration = DAY.saturating_mul(7);
/// However often it is refreshed, a session ends this long after its login.
const SESSION_LIFE: Duration = DAY.saturating_mul(30);
/// A link to verify an address.
const VERIFY_LIFE: Duration = DAY;
/// A link to set a new password is worth an account.
const RESET_LIFE: Duration = Duration::from_hours(1);

/// A secret on its way to its holder.
pub struct Token {
    /// What the holder gets.
    pub text: String,
    /// What we keep.
    pub hash: TokenHash,
}

impl Token {
    /// A token of 256 random bits.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        let text = URL_SAFE_NO_PAD.encode(random);
        Self { hash: TokenHash::of(&text), text }
    }
}

/// What we keep of a token. Its text cannot be guessed, so a plain hash is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of a token's text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(sha256(text))
    }

    /// As the key it is stored under.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells whether an account's password is still the one it was, without telling anything about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a stored password hash; its salt makes it new for every change.
    #[must_use]
    pub fn of(password_hash: &str) -> Self {
        Self(sha256(password_hash))
    }
}

fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// One refresh token of a family: all tokens that follow from one login. Each is spent once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The token.
    #[serde(rename = "_id")]
    pub hash: TokenHash,
    /// Whose it is.
    #[serde(with = "uuid::serde::hyphenated")]
    pub user: Uuid,
    /// The family it belongs to.
    #[serde(with = "uuid::serde::hyphenated")]
    pub family: Uuid,
    /// The password of the login: when it changes, every session ends.
    pub password: Fingerprint,
    /// When the family ends, whatever happens.
    #[serde(with = "bson_date")]
    pub ends_at: Timestamp,
    /// When this token ends.
    #[serde(with = "bson_date")]
    pub expires_at: Timestamp,
}

impl Session {
    /// The first token of a new family.
    #[must_use]
    pub fn begin(hash: TokenHash, user: Uuid, family: Uuid, password: Fingerprint, now: Timestamp) -> Self {
        let (ends_at, expires_at) = (now + SESSION_LIFE, now + REFRESH_LIFE);
        Self { hash, user, family, password, ends_at, expires_at }
    }

    /// The token that follows this one.
    #[must_use]
    pub fn next(&self, hash: TokenHash, now: Timestamp) -> Self {
        Self { hash, expires_at: self.ends_at.min(now + REFRESH_LIFE), ..self.clone() }
    }
}

/// What a link in a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To show that the owner of an account reads its mail.
    Verify,
    /// To set a new password.
    Reset,
}

impl Purpose {
    const fn life(self) -> Duration {
        match self {
            Self::Verify => VERIFY_LIFE,
            Self::Reset => RESET_LIFE,
        }
    }
}

/// A link in a mail: good once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// The token in it.
    #[serde(rename = "_id")]
    pub hash: TokenHash,
    /// What it is for.
    pub purpose: Purpose,
    /// Whose account.
    #[serde(with = "uuid::serde::hyphenated")]
    pub user: Uuid,
    /// The password when it was sent: a reset makes every older link for a reset worthless.
    pub password: Fingerprint,
    /// The hash of the password that following it sets, where whoever asked for the link chose one.
    pub new_password: Option<String>,
    /// When it ends.
    #[serde(with = "bson_date")]
    pub expires_at: Timestamp,
}

impl Link {
    /// A link for `user`.
    #[must_use]
    pub fn new(hash: TokenHash, purpose: Purpose, user: Uuid, password: Fingerprint, now: Timestamp) -> Self {
        Self { hash, purpose, user, password, new_password: None, expires_at: now + purpose.life() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(now: Timestamp) -> Session {
        Session::begin(TokenHash::of("a"), Uuid::nil(), Uuid::nil(), Fingerprint::of("phc"), now)
    }

    #[test]
    fn a_session_that_is_refreshed_every_week_ends_after_thirty_days() {
        let login = Timestamp::UNIX_EPOCH;
        let mut session = session(login);
        for week in 1..=4 {
            assert_eq!(session.expires_at, login + DAY * 7 * week);
            session = session.next(TokenHash::of("next"), session.expires_at);
        }
        assert_eq!(session.expires_at, login + DAY * 30);
    }

    #[test]
    fn a_token_is_not_kept() {
        let token = Token::new([7; 32]);
        assert_eq!(token.hash, TokenHash::of(&token.text));
        assert!(!token.hash.as_str().contains(&token.text));
    }
}
