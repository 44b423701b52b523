//! What an order is and which rules it keeps. No IO happens here.

mod draft;
mod machine;
mod page;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_core::{Currency, Money};
use shop_telemetry::Carrier;
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

pub use draft::{Draft, RequestedLine, Reservation};
pub use machine::{Decision, Event, Move, State, decide};
pub use page::{Cursor, Page};

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderStatus)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Placed, its stock reserved.
    Created,
    /// Payment has begun.
    Pending,
    /// Paid, waiting for delivery.
    Paid,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Over without delivery.
    Canceled,
}

/// Where the order's money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaymentStatus {
    /// Nothing happened yet.
    None,
    /// The provider was asked.
    Pending,
    /// With us.
    Paid,
    /// The provider declined.
    Failed,
    /// To go back to the buyer.
    Refunding,
    /// Back with the buyer.
    Refunded,
}

/// Why an order moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The checkout placed it.
    Placed,
    /// Payment has begun.
    PaymentPending,
    /// It is paid.
    PaymentSucceeded,
    /// The payment was declined.
    PaymentFailed,
    /// Nobody paid in time.
    Expired,
    /// The buyer no longer wants it.
    CanceledByUser,
    /// Its reservation was gone when it was to be committed.
    InventoryRejected,
    /// It could not be delivered.
    DeliveryFailed,
    /// It left the warehouse.
    Shipped,
    /// It arrived.
    Delivered,
    /// It was paid after it had been canceled.
    PaidAfterCancel,
    /// It was shipped after it had been canceled.
    ShippedAfterCancel,
}

/// Why no order came of a checkout; the stock reserved for it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The total is not the one the buyer was shown.
    PriceChanged,
    /// The total leaves the range of amounts.
    TotalTooLarge,
    /// The checkout's idempotency key made another order.
    KeyUsed,
    /// The checkout ended before it made an order: for too long nothing came of it, or its buyer gave it up.
    Expired,
}

/// A word of the database that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is unknown")]
pub struct UnknownWord(String);

impl Status {
    /// As clients and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Pending => "PENDING",
            Self::Paid => "PAID",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::Canceled => "CANCELED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Status {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        [Self::Created, Self::Pending, Self::Paid, Self::Shipped, Self::Delivered, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(UnknownWord(word))
    }
}

impl PaymentStatus {
    /// As clients and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }
}

impl TryFrom<String> for PaymentStatus {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        [Self::None, Self::Pending, Self::Paid, Self::Failed, Self::Refunding, Self::Refunded]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(UnknownWord(word))
    }
}

impl Reason {
    /// As history and events write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::PaymentPending => "payment_pending",
            Self::PaymentSucceeded => "payment_succeeded",
            Self::PaymentFailed => "payment_failed",
            Self::Expired => "expired",
            Self::CanceledByUser => "canceled_by_user",
            Self::InventoryRejected => "inventory_rejected",
            Self::DeliveryFailed => "delivery_failed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::PaidAfterCancel => "paid_after_cancel",
            Self::ShippedAfterCancel => "shipped_after_cancel",
        }
    }
}

impl Refusal {
    /// As the database, `order.canceled` and the caller's problem write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PriceChanged => "price_changed",
            Self::TotalTooLarge => "total_too_large",
            Self::KeyUsed => "idempotency_key_used",
            Self::Expired => "checkout_expired",
        }
    }

    /// What the buyer can do about it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::PriceChanged => "A price has changed, look at the cart and check out again",
            Self::TotalTooLarge => "The total is larger than an order can be, check out fewer items",
            Self::KeyUsed => "This checkout was ordered under another order_id",
            Self::Expired => "This checkout ended before it made an order, check out again",
        }
    }
}

impl TryFrom<String> for Refusal {
    type Error = UnknownWord;

    fn try_from(word: String) -> Result<Self, UnknownWord> {
        [Self::PriceChanged, Self::TotalTooLarge, Self::KeyUsed, Self::Expired]
            .into_iter()
            .find(|refusal| refusal.code() == word)
            .ok_or(UnknownWord(word))
    }
}

/// Where an order goes.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize, ToSchema)]
#[schema(as = OrderAddress)]
pub struct Address {
    /// Who receives it.
    pub full_name: String,
    /// How to reach them.
    pub phone: String,
    /// The city.
    pub city: String,
    /// Street and house number.
    pub street: String,
}

/// One product of an order, as the catalog described it when the order was placed.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Line {
    /// The product.
    pub product_id: Uuid,
    /// Who sells it.
    pub seller_id: Uuid,
    /// Its name.
    pub product_name: String,
    /// Its picture; empty when it has none.
    pub image_url: String,
    /// Its price in minor units.
    pub unit_price_minor: i64,
    /// How many.
    pub quantity: i32,
}

/// An order without its lines.
#[derive(Clone, Debug, FromRow)]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// The buyer.
    pub user_id: Uuid,
    /// How far it has come.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// Where its money is.
    #[sqlx(try_from = "String")]
    pub payment_status: PaymentStatus,
    /// What it costs, in minor units.
    pub total_minor: i64,
    /// Of this currency.
    #[sqlx(try_from = "String")]
    pub currency: Currency,
    /// Where it goes.
    #[sqlx(flatten)]
    pub address: Address,
    /// The checkout's trace.
    pub trace: Json<Carrier>,
    /// When it was placed.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub created_at: Timestamp,
}

impl Order {
    /// What decides about it.
    #[must_use]
    pub const fn state(&self) -> State {
        State { status: self.status, payment: self.payment_status }
    }

    /// What it costs.
    #[must_use]
    pub const fn total(&self) -> Money {
        Money(self.total_minor)
    }
}
