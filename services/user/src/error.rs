//! What can go wrong in a use case, and how it is told.

use std::time::Duration;

use shop_auth::SignerError;
use shop_core::{Fault, Kind};

use crate::{hashing::HashingError, limits::Limited, mail::MailError, store::StoreError};

/// A use case that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// One text for an unknown address, a wrong password and an account that is not verified.
    #[error("The e-mail address or the password is wrong, or the address is not verified yet")]
    WrongCredentials,
    #[error("The current password is wrong")]
    WrongPassword,
    /// One text for an unknown, spent, expired and revoked token.
    #[error("The refresh token is not valid any more; log in again")]
    SessionOver,
    #[error("is unknown, used already, or expired; request a new one")]
    BadLink,
    #[error("User not found")]
    NoSuchUser,
    #[error("Too many attempts; try again in {} s", .0.retry_after.as_secs())]
    Limited(#[from] Limited),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let public = error.to_string();
        match error {
            Error::WrongCredentials | Error::SessionOver => Self::unauthenticated(public),
            Error::WrongPassword => Self::invalid_field("current", "password", public),
            Error::BadLink => Self::invalid_field("token", "token", public),
            Error::NoSuchUser => Self::not_found("User"),
            Error::Limited(Limited { retry_after }) => Self::new(Kind::TooMany { retry_after }, public),
            Error::Hashing(HashingError::Busy) => {
                Self::new(Kind::Unavailable { retry_after: Duration::from_secs(2) }, "The shop is busy, try again")
            }
            Error::Hashing(error) => Self::internal(error),
            Error::Store(error) => error.into(),
            Error::Signer(error) => Self::internal(error),
            Error::Mail(error) => Self::internal(error),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_away() { Self::unavailable("The account store").caused_by(error) } else { Self::internal(error) }
    }
}
