//! Who has an account, and what they may do.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use shop_auth::Role;
use uuid::Uuid;

use crate::bson_date;

/// Passwords that are tried first by everybody who guesses; one a line, lower case.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

/// An e-mail address in the one spelling that is stored and compared: trimmed and lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, garde::Validate)]
#[serde(from = "String")]
#[garde(transparent)]
pub struct Email(#[garde(custom(is_address), length(bytes, max = 254))] String);

impl Email {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Email {
    fn from(text: String) -> Self {
        Self(text.trim().to_lowercase())
    }
}

/// The addresses that HTML's `<input type=email>` takes, or an IP address in brackets for the domain. By hand: garde's own rule
/// brings a regex engine along.
fn is_address<C>(text: &str, _: &C) -> garde::Result {
    let is_mailbox = |mailbox: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
        (1..=64).contains(&mailbox.len()) && mailbox.bytes().all(known)
    };
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(known) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_domain = |domain: &str| match domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<IpAddr>().is_ok(),
        None => domain.split('.').all(is_label),
    };
    match text.split_once('@') {
        Some((mailbox, domain)) if is_mailbox(mailbox) && is_domain(domain) => Ok(()),
        _ => Err(garde::Error::new("email: must be an e-mail address, for instance ada@example.com")),
    }
}

/// A password somebody wants to have; valid when it keeps the policy.
#[derive(Clone, Debug, Deserialize, garde::Validate)]
#[serde(transparent)]
#[garde(transparent)]
pub struct NewPassword(#[garde(custom(keeps_policy))] pub SecretString);

fn keeps_policy<C>(password: &SecretString, _: &C) -> garde::Result {
    let password = password.expose_secret();
    if !(8..=128).contains(&password.chars().count()) {
        return Err(garde::Error::new("length: must have 8 to 128 characters"));
    }
    let lower = password.to_lowercase();
    if COMMON_PASSWORDS.lines().any(|common| common == lower) {
        return Err(garde::Error::new("common: is one of the most common passwords; choose another"));
    }
    Ok(())
}

/// Who somebody says they are when they register.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Where mail goes.
    pub email: Email,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
}

/// An account as it was made. Nothing but the password ever changes in it: what becomes true later is a [`Fact`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The user's id, as text: BSON's binary ids cannot be looked up by key on the stand-in.
    #[serde(rename = "_id", with = "uuid::serde::hyphenated")]
    pub id: Uuid,
    /// Where mail goes; unique.
    pub email: Email,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The password's hash, a PHC string.
    pub password: String,
    /// When it was made.
    #[serde(with = "bson_date")]
    pub created_at: Timestamp,
}

/// Something that becomes true of an account once and stays so. A document each, so that no change can undo another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    /// Its owner reads the mail sent to its address.
    Verified,
    /// May sell.
    Seller,
    /// May manage the shop.
    Admin,
}

impl Fact {
    /// Its name where it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Seller => "seller",
            Self::Admin => "admin",
        }
    }
}

/// All that became true of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<Fact>);

impl Facts {
    /// Whether its owner reads the mail sent to its address.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.0.contains(&Fact::Verified)
    }

    /// What its owner may do: everybody may buy.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let granted = [(Fact::Seller, Role::Seller), (Fact::Admin, Role::Admin)];
        let granted = granted.into_iter().filter(|(fact, _)| self.0.contains(fact)).map(|(_, role)| role);
        std::iter::once(Role::Buyer).chain(granted).collect()
    }
}

#[cfg(test)]
mod tests {
    use garde::Validate as _;

    use super::*;

    fn refusal(password: &str) -> Option<String> {
        NewPassword(SecretString::from(password)).validate().err().map(|report| report.to_string())
    }

    #[test]
    fn an_address_is_one_whatever_its_case() {
        assert_eq!(Email::from(" Ada@Example.COM ".to_owned()), Email::from("ada@example.com".to_owned()));
    }

    #[test]
    fn an_address_that_is_none_or_too_long_is_refused() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "a@b\u{0}.com",
            "a@b@c.com",
            "\"a\"@b.com",
            "a@-b.com",
            "a@b-.com",
            "a@b..com",
            "a@.com",
            "a@b.com.",
            "a@[b]",
            "a@[256.0.0.1]",
            "\u{e4}@b.com",
            "a@\u{e4}.com",
            &format!("{}@b.com", "a".repeat(65)),
            &format!("a@{}.com", "b".repeat(64)),
        ] {
            assert!(Email::from(text.to_owned()).validate().is_err(), "{text:?}");
        }
        for text in [
            "a@b",
            "o'neil+shop@mail.example.co.uk",
            "!#$%&'*+/=?^_`{|}~-.@b-1.com",
            "a@[127.0.0.1]",
            "a@[2001:db8::1]",
        ] {
            assert!(Email::from(text.to_owned()).validate().is_ok(), "{text:?}");
        }
        let long = format!("ada@{}example.com", "sub.".repeat(62));
        assert!(Email::from(long).validate().is_err());
    }

    #[test]
    fn a_password_has_8_to_128_characters_of_any_alphabet() {
        assert!(refusal("seven77").is_some_and(|text| text.contains("8 to 128")));
        assert_eq!(refusal(&"ш".repeat(128)), None);
        assert!(refusal(&"ш".repeat(129)).is_some());
    }

    #[test]
    fn a_password_everybody_tries_first_is_refused_in_any_case() {
        for password in ["password", "12345678", "Password1", "QWERTYUIOP"] {
            assert!(refusal(password).is_some_and(|text| text.contains("common")), "{password}");
        }
    }

    #[test]
    fn everybody_buys_and_more_is_granted() {
        assert_eq!(Facts::default().roles(), [Role::Buyer]);
        assert_eq!(
            Facts(vec![Fact::Admin, Fact::Verified, Fact::Seller]).roles(),
            [Role::Buyer, Role::Seller, Role::Admin]
        );
    }
}
