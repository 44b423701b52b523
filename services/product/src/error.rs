//! What can go wrong in the catalog, told as faults.

use shop_core::{Fault, FieldError, money::NotAnAmount};
use shop_db::DbError;

use crate::{
    domain::{picture::BadPicture, stock::Shortage},
    store::bucket::BucketError,
};

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, deleted, or not for the caller's eyes.
    #[error("product not found")]
    NoProduct,
    /// Somebody else's.
    #[error("the product belongs to another seller")]
    NotYours,
    /// A category that does not exist.
    #[error("{field} names an unknown category")]
    UnknownCategory {
        /// The field that names it.
        field: &'static str,
    },
    /// A sibling of the same name.
    #[error("a sibling has this name")]
    DuplicateCategory,
    /// A tree that would be too deep.
    #[error("the category tree is too deep")]
    TooDeep,
    /// A price that is no amount of the Shop's currency.
    #[error("{field} {reason}")]
    Amount {
        /// The field that holds it.
        field: &'static str,
        /// Why it is none.
        reason: NotAnAmount,
    },
    /// A currency other than the Shop's.
    #[error("the currency is not the Shop's")]
    Currency {
        /// The Shop's.
        expected: String,
    },
    /// An upload that is no picture.
    #[error("the image {0}")]
    Picture(#[from] BadPicture),
    /// Less stock than is reserved.
    #[error("{reserved} are reserved")]
    BelowReserved {
        /// How many.
        reserved: i64,
    },
    /// Lines that cannot be reserved.
    #[error("{} lines cannot be reserved", .0.len())]
    Short(Vec<Shortage>),
    /// The reservation of this order is over.
    #[error("the reservation is over")]
    ReservationOver,
    /// The order id belongs to somebody else.
    #[error("the order belongs to another user")]
    ForeignOrder,
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The bucket of pictures.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// What a constraint or a neighbour said.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NoProduct => Self::not_found("Product"),
            Error::NotYours => Self::forbidden("This product belongs to another seller"),
            Error::UnknownCategory { field } => {
                Self::invalid_field(field, "unknown", "names a category that does not exist")
            }
            Error::DuplicateCategory => {
                Self::conflict("duplicate_category", "There is a category of this name beside it")
            }
            Error::TooDeep => {
                Self::invalid_field("parentId", "depth", "is already sixteen levels deep; choose one further up")
            }
            Error::Amount { field, reason } => Self::invalid_field(field, rule_of(reason), reason.to_string()),
            Error::Currency { expected } => Self::invalid_field(
                "currency",
                "currency",
                format!("must be {expected}, the Shop's currency, or absent"),
            ),
            Error::Picture(reason) => Self::invalid_field("image", rule_of_picture(reason), reason.to_string()),
            Error::BelowReserved { reserved } => Self::conflict(
                "stock_below_reserved",
                format!("{reserved} are reserved for orders; the stock cannot be less until they are paid or canceled"),
            ),
            Error::Short(shortages) => short(&shortages),
            Error::ReservationOver => {
                Self::conflict("reservation_over", "The reservation of this order has ended; check out again")
            }
            Error::ForeignOrder => Self::conflict("order_id_taken", "This order id belongs to another order"),
            Error::Database(error) => error.into(),
            Error::Bucket(error) => Self::unavailable("The picture store").caused_by(error),
            Error::Fault(fault) => fault,
        }
    }
}

const fn rule_of(reason: NotAnAmount) -> &'static str {
    match reason {
        NotAnAmount::Negative | NotAnAmount::TooLarge => "range",
        NotAnAmount::TooPrecise => "precision",
    }
}

const fn rule_of_picture(reason: BadPicture) -> &'static str {
    match reason {
        BadPicture::Format => "format",
        BadPicture::Broken => "broken",
        BadPicture::TooLarge => "size",
    }
}

/// What is gone for good comes before what may come back.
fn short(shortages: &[Shortage]) -> Fault {
    let gone = shortages.iter().any(|shortage| matches!(shortage, Shortage::NotForSale { .. }));
    let fault = if gone {
        Fault::conflict("not_for_sale", "Some of the products are no longer for sale")
    } else {
        Fault::conflict("out_of_stock", "There is not enough stock for some of the products")
    };
    fault.with_fields(shortages.iter().map(|shortage| match shortage {
        Shortage::NotForSale { product_id } => FieldError {
            field: product_id.to_string(),
            rule: "not_for_sale".to_owned(),
            message: "no longer for sale".to_owned(),
        },
        Shortage::OutOfStock { product_id, wanted, left } => FieldError {
            field: product_id.to_string(),
            rule: "out_of_stock".to_owned(),
            message: format!("{wanted} wanted, {left} left"),
        },
    }))
}
