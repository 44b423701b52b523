//! Settings of the payment service.

use std::time::Duration;

use serde::Deserialize;
use shop_config::{Postgres, Span, Url};
use shop_core::Currency;
use shop_mock::Outcomes;

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

/// How the mock provider behaves, and how long it is waited for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// How long a capture or a refund takes.
    pub latency: Span,
    /// What comes of a capture.
    pub outcomes: Outcomes,
    /// An answer that takes longer than this and the latency is given up, and asked for again.
    pub patience: Span,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            latency: Span(Duration::from_secs(2)),
            outcomes: Outcomes::default(),
            patience: Span(Duration::from_secs(20)),
        }
    }
}
