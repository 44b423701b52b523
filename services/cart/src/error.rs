//! Why an operation on a cart fails, and what the buyer is told.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use shop_core::{Fault, FieldError, Kind, RequestKey};

use crate::{
    domain::{MAX_LINES, MAX_QUANTITY},
    store::MOST_KEYS,
};

/// A failure of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One more and the product's quantity is over its limit.
    #[error("over the limit with {0} in the cart")]
    TooMany(u32),
    /// No room for another product.
    #[error("the cart is full")]
    Full,
    /// The product whose quantity is to change is not in the cart.
    #[error("not in the cart")]
    NotInCart,
    /// The catalog does not know the product.
    #[error("no such product")]
    UnknownProduct,
    /// The product is a draft, inactive or withdrawn.
    #[error("not for sale")]
    NotForSale,
    /// Nothing to check out.
    #[error("the cart is empty")]
    Empty,
    /// What was to be ordered left the cart again and again while it was checked out.
    #[error("a checkout is being settled")]
    InProgress,
    /// The request's idempotency key was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// The buyer used as many idempotency keys as are kept; after this time one is forgotten.
    #[error("too many idempotency keys")]
    TooManyKeys(Duration),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Redis answered what no script of ours answers.
    #[error("a script answered {0:?}")]
    Answer(Vec<String>),
    /// A neighbour, or the request itself.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::TooMany(had) => Self::invalid_field(
                "quantity",
                "range",
                format!("a cart holds at most {MAX_QUANTITY} of a product, and {had} are in it already"),
            ),
            Error::Full => Self::conflict("cart_full", format!("A cart holds at most {MAX_LINES} different products")),
            Error::NotInCart => Self::not_found("This product in your cart"),
            Error::UnknownProduct => Self::not_found("Product"),
            Error::NotForSale => Self::conflict("not_for_sale", "This product is not for sale"),
            Error::Empty => {
                Self::invalid("Your cart is empty: add something before you check out").with_field(FieldError {
                    field: "items".to_owned(),
                    rule: "not_empty".to_owned(),
                    message: "the cart is empty".to_owned(),
                })
            }
            Error::InProgress => Self::conflict(
                "checkout_in_progress",
                "An earlier checkout of this cart is still being settled; try again in a few seconds",
            ),
            Error::KeyReused => RequestKey::reused(),
            Error::TooManyKeys(retry_after) => Self::new(
                Kind::TooMany { retry_after },
                format!(
                    "No more than {MOST_KEYS} idempotency keys a day are kept; add without one, or come back later"
                ),
            ),
            Error::Redis(error) if is_away(&error) => Self::unavailable("The cart").caused_by(error),
            Error::Redis(error) => Self::internal(error),
            Error::Answer(_) => Self::internal(error),
            Error::Fault(fault) => fault,
        }
    }
}

/// Redis is at its `maxmemory`, until carts end or are emptied; the client has no kind for it.
const OUT_OF_MEMORY: &str = "OOM";

/// Whether Redis will work again by itself.
fn is_away(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly, TryAgain};
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Server(BusyLoading | MasterDown | ReadOnly | TryAgain))
        || error.code() == Some(OUT_OF_MEMORY)
        || error.is_unrecoverable_error()
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn a_redis_that_is_full_is_a_time_to_come_back_and_a_command_it_does_not_know_is_our_fault() {
        let told = |code: &str| Fault::from(Error::Redis(make_extension_error(code.to_owned(), None))).kind();
        assert!(matches!(told("OOM"), Kind::Unavailable { .. }));
        assert_eq!(told("ERR"), Kind::Internal);
    }
}
