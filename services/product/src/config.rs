//! What the product service is told.

use std::time::Duration;

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
    /// How long stock is set aside for an order that is not paid.
    #[serde(default = "default_reservation")]
    pub reservation: Span,
}

fn default_reservation() -> Span {
    Span(Duration::from_mins(30))
}
