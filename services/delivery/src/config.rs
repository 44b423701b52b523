//! Settings of the delivery service.

use std::time::Duration;

use serde::Deserialize;
use shop_config::{Postgres, Span, Url};

use crate::provider::Outcomes;

/// Everything the service is told.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Its database.
    pub postgres: Postgres,
    /// The broker.
    pub amqp: Url,
    /// How the mock provider behaves.
    #[serde(default)]
    pub provider: Provider,
}

/// How the mock provider behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// How long a parcel is on its way.
    pub latency: Span,
    /// What comes of it.
    pub outcomes: Outcomes,
}

impl Default for Provider {
    fn default() -> Self {
        Self { latency: Span(Duration::from_secs(5)), outcomes: Outcomes::default() }
    }
}
