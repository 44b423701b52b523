//! What the product service is told.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use shop_config::{Auth, Postgres, Span, Url};
use shop_core::Currency;

/// Settings of the product service.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Who verifies tokens, and against what.
    pub auth: Auth,
    /// Its database.
    pub postgres: Postgres,
    /// Where events go and come from.
    pub amqp: Url,
    /// The Shop's one currency.
    pub currency: Currency,
    /// How long stock is set aside for an order before it is asked after.
    #[serde(default = "default_reservation")]
    pub reservation: Span,
    /// Where uploaded pictures go; into the database when it is absent.
    pub images: Option<Bucket>,
}

/// A bucket, of Amazon or of anything that speaks its protocol.
#[derive(Clone, Debug, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub bucket: String,
    /// The region in which requests are signed.
    pub region: String,
    /// Where it is, without its name: `https://host:port`. Absent: Amazon's own address for the region.
    pub endpoint: Option<String>,
    /// Who we are there.
    pub access_key_id: SecretString,
    /// The proof of it.
    pub secret_access_key: SecretString,
}

fn default_reservation() -> Span {
    Span(Duration::from_mins(30))
}
