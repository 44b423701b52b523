//! The cart service's settings.

use serde::Deserialize;
use shop_config::{Auth, Peer, Url};
use shop_core::Currency;

/// Read from `SHOP_*` variables.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Whose tokens are good.
    pub auth: Auth,
    /// Where carts are.
    pub redis: Url,
    /// Where product events come from.
    pub amqp: Url,
    /// The product service.
    pub catalog: Peer,
    /// The order service.
    pub orders: Peer,
    /// The Shop's currency.
    pub currency: Currency,
}
