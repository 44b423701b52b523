//! Whoever moves the money.

mod mock;

use futures::future::BoxFuture;
use shop_core::{Fault, Money};
use uuid::Uuid;

pub use mock::MockProvider;

/// Takes money and gives it back. Every call can be repeated: the key decides whether it counts.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Takes the money, once for each key; asked again, it answers what it answered first.
    fn capture<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<Capture, ProviderError>>;

    /// Gives back what was taken under the key, and closes the key: nothing is taken under it any more.
    fn refund(&self, key: Uuid) -> BoxFuture<'_, Result<Refund, ProviderError>>;
}

/// Money to take.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The same whenever the same money is meant.
    pub key: Uuid,
    /// What it is for: the provider writes it into its books.
    pub order_id: Uuid,
    /// How much.
    pub amount: Money,
    /// ISO 4217.
    pub currency: String,
}

/// The answer to a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The money is there.
    Taken,
    /// It will not be taken.
    Declined {
        /// A stable name for why.
        reason: String,
    },
}

/// The answer to a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The money is back.
    GivenBack,
    /// There was none.
    Nothing,
}

/// The provider could not be asked, or did not answer: nobody knows what it did.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider gave no answer: {0}")]
pub struct ProviderError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

impl From<ProviderError> for Fault {
    fn from(error: ProviderError) -> Self {
        Self::unavailable("The payment provider").caused_by(error)
    }
}
