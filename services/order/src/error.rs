//! What can go wrong with an order, and what the caller hears of it.

use shop_core::{Fault, RequestKey};
use shop_db::DbError;

use crate::domain::{Refusal, Status};

/// A use case that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not there, or somebody else's: the two look the same from outside.
    #[error("no such order of this caller")]
    NotFound,
    /// Somebody else used this order id.
    #[error("the order id belongs to another user")]
    IdTaken,
    /// The stock reserved under this order id is for other lines than these.
    #[error("the order id was used with other lines")]
    LinesDiffer,
    /// No order comes of this order id any more.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Too late to cancel.
    #[error("an order that is {0:?} cannot be canceled")]
    NotCancelable(Status),
    /// What the catalog said, or a rule about the caller or the message.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The catalog answered with what cannot be.
    #[error("the catalog's answer cannot be used: {0}")]
    CatalogAnswer(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Error {
    /// Whether the request's idempotency key came with another body before.
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.code() == RequestKey::REUSED)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found("Order"),
            Error::IdTaken => Self::conflict("order_id_taken", "This order_id is taken, choose another"),
            Error::LinesDiffer => Self::conflict(
                "order_id_reused",
                "This order_id was used with other items, check out again with a new one",
            ),
            Error::Refused(refusal) => Self::conflict(refusal.code(), refusal.explanation()),
            Error::NotCancelable(status) => {
                Self::conflict("not_cancelable", format!("The order is {status}, it can no longer be canceled"))
            }
            Error::Fault(fault) => fault,
            Error::CatalogAnswer(_) => Self::internal(error),
            Error::Database(error) => error.into(),
        }
    }
}
