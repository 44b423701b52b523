//! Settings, from `SHOP_*` variables.

use serde::Deserialize;
use shop_config::{Auth, Peer, Postgres, Span, Url};
use shop_core::Currency;

/// See `shop-config` for how a field is named in the environment.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Whose tokens are good.
    pub auth: Auth,
    /// Orders, history, outbox and inbox.
    pub postgres: Postgres,
    /// Events in and out.
    pub amqp: Url,
    /// Who reserves stock and knows prices.
    pub catalog: Peer,
    /// The Shop's currency.
    pub currency: Currency,
    /// An order that is not paid within this time is canceled.
    pub unpaid_expiry: Span,
}
