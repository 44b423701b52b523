//! A carrier for development. Its ledger is a table beside the service's own, so it keeps its word over restarts and says
//! afterwards what it did.

use std::{future::pending, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use jiff_sqlx::ToSqlx as _;
use shop_core::World;
use shop_mock::{Subject, Then};
use sqlx::PgPool;
use uuid::Uuid;

use super::{DeliveryProvider, Parcel, ProviderError, Recall, Shipment, Tracking};
use crate::config::Provider;

/// See the module.
pub struct MockProvider {
    ledger: PgPool,
    behaviour: Provider,
    world: Arc<dyn World>,
}

/// What the ledger says of a key.
#[derive(sqlx::FromRow)]
struct Entry {
    entry: String,
    arrives_at: jiff_sqlx::Timestamp,
}

impl MockProvider {
    /// A carrier that writes its ledger through `pool`.
    #[must_use]
    pub fn new(ledger: PgPool, behaviour: Provider, world: Arc<dyn World>) -> Self {
        Self { ledger, behaviour, world }
    }

    async fn take(&self, parcel: &Parcel) -> Result<Shipment, ProviderError> {
        let subject = Subject { city: &parcel.address.city, ..Subject::default() };
        let fate = self.behaviour.outcomes.of(&self.ledger, parcel.key, subject, self.world.now()).await;
        let fate = fate.map_err(no_answer)?;
        if fate == Some(Then::Fail) {
            return Err(ProviderError("it was told to fail".into()));
        }
        let entry = self.enter(parcel, fate).await.map_err(no_answer)?;
        if fate == Some(Then::TimeOut) {
            pending::<()>().await;
        }
        Ok(match entry.entry.as_str() {
            "shipped" | "delivered" | "undeliverable" => Shipment::Accepted { takes: self.until(&entry) },
            _ => Shipment::Refused { reason: entry.entry },
        })
    }

    /// Writes the first entry of a key; answers with the one that then holds.
    async fn enter(&self, parcel: &Parcel, fate: Option<Then>) -> sqlx::Result<Entry> {
        let now = self.world.now();
        // An update that changes nothing, because only a row that was written is given back.
        sqlx::query_as(
            "INSERT INTO mock_parcels (key, reference, city, entry, undeliverable, arrives_at, entered_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT ON CONSTRAINT mock_parcels_pkey DO UPDATE SET key = mock_parcels.key RETURNING entry, arrives_at",
        )
        .bind(parcel.key)
        .bind(parcel.order_id)
        .bind(&parcel.address.city)
        .bind(if fate == Some(Then::Decline) { "declined" } else { "shipped" })
        .bind(fate == Some(Then::Undeliverable))
        .bind((now + self.behaviour.latency.0).to_sqlx())
        .bind(now.to_sqlx())
        .fetch_one(&self.ledger)
        .await
    }

    async fn look_for(&self, key: Uuid) -> sqlx::Result<Tracking> {
        let entry: Entry = sqlx::query_as(
            "UPDATE mock_parcels SET entry = CASE
                 WHEN entry <> 'shipped' OR arrives_at > $2 THEN entry
                 WHEN undeliverable THEN 'undeliverable'
                 ELSE 'delivered' END
             WHERE key = $1 RETURNING entry, arrives_at",
        )
        .bind(key)
        .bind(self.world.now().to_sqlx())
        .fetch_one(&self.ledger)
        .await?;
        Ok(match entry.entry.as_str() {
            "shipped" => Tracking::OnItsWay { takes: self.until(&entry) },
            "delivered" => Tracking::Arrived,
            _ => Tracking::Undeliverable { reason: entry.entry },
        })
    }

    async fn bring_back(&self, key: Uuid) -> sqlx::Result<Recall> {
        let entry: String = sqlx::query_scalar(
            "INSERT INTO mock_parcels (key, city, entry, arrives_at, entered_at) VALUES ($1, '', 'closed', $2, $2)
             ON CONFLICT ON CONSTRAINT mock_parcels_pkey DO UPDATE SET
                 entry = CASE WHEN mock_parcels.entry IN ('closed', 'declined') THEN mock_parcels.entry ELSE 'recalled' END,
                 entered_at = excluded.entered_at
             RETURNING entry",
        )
        .bind(key)
        .bind(self.world.now().to_sqlx())
        .fetch_one(&self.ledger)
        .await?;
        Ok(if entry == "recalled" { Recall::ComesBack } else { Recall::Nothing })
    }

    fn until(&self, entry: &Entry) -> Duration {
        Duration::try_from(entry.arrives_at.to_jiff().duration_since(self.world.now())).unwrap_or_default()
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
