//! Whoever carries the parcels.

mod mock;

use std::time::Duration;

use futures::future::BoxFuture;
use shop_core::Fault;
use uuid::Uuid;

pub use crate::domain::Address;
pub use mock::MockProvider;

/// Takes parcels to doors. Every call can be repeated: the key decides whether it counts.
pub trait DeliveryProvider: Send + Sync + 'static {
    /// Takes the parcel, once for each key; asked again, it answers what it answered first.
    fn ship<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Shipment, ProviderError>>;

    /// Where the parcel of the key is.
    fn track(&self, key: Uuid) -> BoxFuture<'_, Result<Tracking, ProviderError>>;

    /// Brings back what was taken under the key, and closes the key: nothing is taken under it any more.
    fn recall(&self, key: Uuid) -> BoxFuture<'_, Result<Recall, ProviderError>>;
}

/// Something to carry.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The same whenever the same parcel is meant.
    pub key: Uuid,
    /// What it is for: the carrier writes it into its books.
    pub order_id: Uuid,
    /// Where to.
    pub address: Address,
}

/// The answer to a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shipment {
    /// It is on its way.
    Accepted {
        /// For this long.
        takes: Duration,
    },
    /// It stays here.
    Refused {
        /// A stable name for why.
        reason: String,
    },
}

/// Where a parcel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Not there yet.
    OnItsWay {
        /// For this much longer.
        takes: Duration,
    },
    /// It was handed over.
    Arrived,
    /// It cannot be handed over.
    Undeliverable {
        /// A stable name for why.
        reason: String,
    },
}

/// The answer to a recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// It comes back.
    ComesBack,
    /// There was no parcel.
    Nothing,
}

/// The provider could not be asked, or did not answer: nobody knows what it did.
#[derive(Debug, thiserror::Error)]
#[error("the delivery provider gave no answer: {0}")]
pub struct ProviderError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

impl From<ProviderError> for Fault {
    fn from(error: ProviderError) -> Self {
        Self::unavailable("The delivery provider").caused_by(error)
    }
}
