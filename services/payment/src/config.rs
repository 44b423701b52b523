//! Settings of the payment service.

use std::time::Duration;

use serde::Deserialize;
use shop_config::{Postgres, Span, Url};
use shop_core::Currency;

use crate::provider::Outcomes;

/// Everything the service is told.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Its database.
    pub postgres: Postgres,
    /// The broker.
    pub amqp: Url,
    /// The Shop's currency.
    pub currency: Currency,
    /// How the mock provider behaves.
    #[serde(default)]
    pub provider: Provider,
}

/// How the mock provider behaves.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// How long a capture or a refund takes.
    pub latency: Span,
    /// What comes of a capture.
    pub outcomes: Outcomes,
}

impl Default for Provider {
    fn default() -> Self {
        Self { latency: Span(Duration::from_secs(2)), outcomes: Outcomes::default() }
    }
}
