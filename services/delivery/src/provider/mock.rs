//! A carrier for development. Its ledger is a table beside the service's own, so it keeps its word over restarts and says
//! afterwards what it did.

use std::{future::pending, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use shop_db::Pool;
use shop_mock::{Subject, Then};
use uuid::Uuid;

use super::{DeliveryProvider, Parcel, ProviderError, Recall, Shipment, Tracking};
use crate::config::Provider;

/// See the module.
pub struct MockProvider {
    ledger: Pool,
    behaviour: Provider,
}

/// What the ledger says of a key.
#[derive(sqlx::FromRow)]
struct Entry {
    entry: String,
    /// Seconds until it arrives.
    seconds: f64,
}

impl MockProvider {
    /// A carrier that writes its ledger through `pool`.
    #[must_use]
    pub fn new(ledger: Pool, behaviour: Provider) -> Self {
        Self { ledger, behaviour }
    }

    async fn take(&self, parcel: &Parcel) -> Result<Shipment, ProviderError> {
        let subject = Subject { city: &parcel.address.city, ..Subject::default() };
        let fate = self.behaviour.outcomes.of(&self.ledger, parcel.key, subject).await;
        let fate = fate.map_err(no_answer)?;
        if fate == Some(Then::Fail) {
            return Err(ProviderError("it was told to fail".into()));
        }
        let entry = self.enter(parcel, fate).await.map_err(no_answer)?;
        if fate == Some(Then::TimeOut) {
            pending::<()>().await;
        }
        Ok(match entry.entry.as_str() {
            "shipped" | "delivered" | "undeliverable" => Shipment::Accepted { takes: entry.takes() },
            _ => Shipment::Refused { reason: entry.entry },
        })
    }

    /// Writes the first entry of a key; answers with the one that then holds.
    async fn enter(&self, parcel: &Parcel, fate: Option<Then>) -> sqlx::Result<Entry> {
        // An update that changes nothing, because only a row that was written is given back.
        sqlx::query_as(
            "INSERT INTO mock_parcels (key, reference, city, entry, undeliverable, arrives_at, entered_at)
             VALUES ($1, $2, $3, $4, $5, now() + $6, now())
             ON CONFLICT ON CONSTRAINT mock_parcels_pkey DO UPDATE SET key = mock_parcels.key
             RETURNING entry, extract(epoch FROM arrives_at - now())::double precision AS seconds",
        )
        .bind(parcel.key)
        .bind(parcel.order_id)
        .bind(&parcel.address.city)
        .bind(if fate == Some(Then::Decline) { "declined" } else { "shipped" })
        .bind(fate == Some(Then::Undeliverable))
        .bind(self.behaviour.latency.0)
        .fetch_one(&self.ledger)
        .await
    }

    async fn look_for(&self, key: Uuid) -> sqlx::Result<Tracking> {
        let entry: Entry = sqlx::query_as(
            "UPDATE mock_parcels SET entry = CASE
                 WHEN entry <> 'shipped' OR arrives_at > now() THEN entry
                 WHEN undeliverable THEN 'undeliverable'
                 ELSE 'delivered' END
             WHERE key = $1 RETURNING entry, extract(epoch FROM arrives_at - now())::double precision AS seconds",
        )
        .bind(key)
        .fetch_one(&self.ledger)
        .await?;
        Ok(match entry.entry.as_str() {
            "shipped" => Tracking::OnItsWay { takes: entry.takes() },
            "delivered" => Tracking::Arrived,
            _ => Tracking::Undeliverable { reason: entry.entry },
        })
    }

    async fn bring_back(&self, key: Uuid) -> sqlx::Result<Recall> {
        let entry: String = sqlx::query_scalar(
            "INSERT INTO mock_parcels (key, city, entry, arrives_at, entered_at) VALUES ($1, '', 'closed', now(), now())
             ON CONFLICT ON CONSTRAINT mock_parcels_pkey DO UPDATE SET
                 entry = CASE WHEN mock_parcels.entry IN ('closed', 'declined') THEN mock_parcels.entry ELSE 'recalled' END,
                 entered_at = excluded.entered_at
             RETURNING entry",
        )
        .bind(key)
        .fetch_one(&self.ledger)
        .await?;
        Ok(if entry == "recalled" { Recall::ComesBack } else { Recall::Nothing })
    }
}

impl Entry {
    fn takes(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

impl DeliveryProvider for MockProvider {
    fn ship<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Shipment, ProviderError>> {
        self.take(parcel).boxed()
    }

    fn track(&self, key: Uuid) -> BoxFuture<'_, Result<Tracking, ProviderError>> {
        async move { self.look_for(key).await.map_err(no_answer) }.boxed()
    }

    fn recall(&self, key: Uuid) -> BoxFuture<'_, Result<Recall, ProviderError>> {
        async move { self.bring_back(key).await.map_err(no_answer) }.boxed()
    }
}

fn no_answer(error: sqlx::Error) -> ProviderError {
    ProviderError(error.into())
}
