//! A carrier for development. Its ledger is a table beside the service's own, so it keeps its word over restarts and says
//! afterwards what it did.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use jiff_sqlx::ToSqlx as _;
use serde::Deserialize;
use shop_core::World;
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

/// What comes of a parcel: `deliver`, or `lose_in:<city>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Outcomes {
    /// Every parcel arrives.
    #[default]
    Deliver,
    /// Those to this city are lost.
    LoseIn(String),
}

/// A text that is no rule for outcomes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an outcome: write deliver, or lose_in:<city>")]
pub struct NotOutcomes(String);

/// What the ledger says of a key.
#[derive(sqlx::FromRow)]
struct Entry {
    entry: String,
    arrives_at: jiff_sqlx::Timestamp,
}

impl TryFrom<String> for Outcomes {
    type Error = NotOutcomes;

    fn try_from(text: String) -> Result<Self, NotOutcomes> {
        match text.strip_prefix("lose_in:") {
            Some(city) if !city.is_empty() => Ok(Self::LoseIn(city.to_owned())),
            None if text == "deliver" => Ok(Self::Deliver),
            _ => Err(NotOutcomes(text)),
        }
    }
}

impl MockProvider {
    /// A carrier that writes its ledger through `pool`.
    #[must_use]
    pub fn new(ledger: PgPool, behaviour: Provider, world: Arc<dyn World>) -> Self {
        Self { ledger, behaviour, world }
    }

    async fn take(&self, parcel: &Parcel) -> sqlx::Result<Shipment> {
        let now = self.world.now();
        // An update that changes nothing, because only a row that was written is given back.
        let entry: Entry = sqlx::query_as(
            "INSERT INTO mock_parcels (key, city, entry, arrives_at, entered_at) VALUES ($1, $2, 'shipped', $3, $4)
             ON CONFLICT ON CONSTRAINT mock_parcels_pkey DO UPDATE SET key = mock_parcels.key RETURNING entry, arrives_at",
        )
        .bind(parcel.key)
        .bind(&parcel.address.city)
        .bind((now + self.behaviour.latency.0).to_sqlx())
        .bind(now.to_sqlx())
        .fetch_one(&self.ledger)
        .await?;
        Ok(match entry.entry.as_str() {
            "shipped" | "delivered" | "undeliverable" => Shipment::Accepted { takes: self.until(&entry) },
            _ => Shipment::Refused { reason: entry.entry },
        })
    }

    async fn look_for(&self, key: Uuid) -> sqlx::Result<Tracking> {
        let lost = match &self.behaviour.outcomes {
            Outcomes::Deliver => None,
            Outcomes::LoseIn(city) => Some(city),
        };
        let entry: Entry = sqlx::query_as(
            "UPDATE mock_parcels SET entry = CASE
                 WHEN entry <> 'shipped' OR arrives_at > $3 THEN entry
                 WHEN city = $2 THEN 'undeliverable'
                 ELSE 'delivered' END
             WHERE key = $1 RETURNING entry, arrives_at",
        )
        .bind(key)
        .bind(lost)
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
                 entry = CASE mock_parcels.entry WHEN 'closed' THEN 'closed' ELSE 'recalled' END,
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
        async move { self.take(parcel).await.map_err(no_answer) }.boxed()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_a_setting_and_a_bad_one_says_what_to_write() {
        let read = |text: &str| Outcomes::try_from(text.to_owned());
        assert_eq!(read("deliver").unwrap(), Outcomes::Deliver);
        assert_eq!(read("lose_in:Atlantis").unwrap(), Outcomes::LoseIn("Atlantis".to_owned()));
        assert!(read("lose_in:").unwrap_err().to_string().contains("write deliver"));
    }
}
