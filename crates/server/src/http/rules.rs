//! The rules of `shop-core` as garde's custom rules: `#[garde(custom(rules::line::<200>))]`.

use secrecy::{ExposeSecret as _, SecretString};
use shop_core::rules::{self, Broken};

fn told(outcome: Result<(), Broken>) -> garde::Result {
    // `field_errors` reads the rule's name before the colon.
    outcome.map_err(|broken| garde::Error::new(broken.to_string()))
}

/// One line of text of at most `MOST` characters.
pub fn line<const MOST: usize>(text: &str, (): &()) -> garde::Result {
    told(rules::line(text, MOST))
}

/// Text of several lines, or none, of at most `MOST` characters.
pub fn paragraphs<const MOST: usize>(text: &str, (): &()) -> garde::Result {
    told(rules::paragraphs(text, MOST))
}

/// A telephone number.
pub fn phone(text: &str, (): &()) -> garde::Result {
    told(rules::phone(text))
}

/// A token of at most `MOST` characters.
pub fn token<const MOST: usize>(text: &str, (): &()) -> garde::Result {
    told(rules::token(text, MOST))
}

/// A token of at most `MOST` characters that no log may show.
pub fn secret_token<const MOST: usize>(text: &SecretString, (): &()) -> garde::Result {
    told(rules::token(text.expose_secret(), MOST))
}
