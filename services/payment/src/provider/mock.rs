//! A provider for development. Its ledger is a table beside the service's own, so it keeps its word over restarts and says
//! afterwards what it did.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use jiff_sqlx::ToSqlx as _;
use serde::Deserialize;
use shop_core::World;
use sqlx::PgPool;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Capture, Charge, PaymentProvider, ProviderError, Refund};
use crate::config::Provider;

const DECLINED: &str = "declined";

/// See the module.
pub struct MockProvider {
    ledger: PgPool,
    behaviour: Provider,
    world: Arc<dyn World>,
}

/// What comes of a capture: `approve`, or `decline_above:<minor units>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Outcomes {
    /// Everything is approved.
    #[default]
    Approve,
    /// Larger amounts are declined.
    DeclineAbove(i64),
}

/// A text that is no rule for outcomes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an outcome: write approve, or decline_above:<amount in minor units>")]
pub struct NotOutcomes(String);

impl TryFrom<String> for Outcomes {
    type Error = NotOutcomes;

    fn try_from(text: String) -> Result<Self, NotOutcomes> {
        let limit = text.strip_prefix("decline_above:").and_then(|limit| limit.parse().ok());
        match limit {
            Some(limit) => Ok(Self::DeclineAbove(limit)),
            None if text == "approve" => Ok(Self::Approve),
            None => Err(NotOutcomes(text)),
        }
    }
}

impl MockProvider {
    /// A provider that writes its ledger through `pool`.
    #[must_use]
    pub fn new(ledger: PgPool, behaviour: Provider, world: Arc<dyn World>) -> Self {
        Self { ledger, behaviour, world }
    }

    /// Writes the first entry of a key, or changes the one that is there; answers with what then holds.
    async fn enter(&self, sql: &'static str, charge: &Charge, entry: &str) -> Result<String, ProviderError> {
        sleep(self.behaviour.latency.0).await;
        let entered = sqlx::query_scalar(sql)
            .bind(charge.key)
            .bind(charge.amount.0)
            .bind(&charge.currency)
            .bind(entry)
            .bind(self.world.now().to_sqlx())
            .fetch_one(&self.ledger)
            .await;
        entered.map_err(|error| ProviderError(error.into()))
    }
}

impl PaymentProvider for MockProvider {
    fn capture<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<Capture, ProviderError>> {
        let declined = matches!(self.behaviour.outcomes, Outcomes::DeclineAbove(limit) if charge.amount.0 > limit);
        let entry = if declined { DECLINED } else { "captured" };
        // An update that changes nothing, because only a row that was written is given back.
        let sql =
            "INSERT INTO mock_charges (key, amount_minor, currency, entry, entered_at) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT ON CONSTRAINT mock_charges_pkey DO UPDATE SET key = mock_charges.key RETURNING entry";
        async move {
            let entry = self.enter(sql, charge, entry).await?;
            Ok(if entry == "captured" { Capture::Taken } else { Capture::Declined { reason: entry } })
        }
        .boxed()
    }

    fn refund(&self, key: Uuid) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        let nothing = Charge { key, amount: shop_core::Money(0), currency: "XXX".to_owned() };
        let sql =
            "INSERT INTO mock_charges (key, amount_minor, currency, entry, entered_at) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT ON CONSTRAINT mock_charges_pkey DO UPDATE SET
                       entry = CASE mock_charges.entry WHEN 'captured' THEN 'refunded' ELSE mock_charges.entry END,
                       entered_at = excluded.entered_at
                   RETURNING entry";
        async move {
            let entry = self.enter(sql, &nothing, "closed").await?;
            Ok(if entry == "refunded" { Refund::GivenBack } else { Refund::Nothing })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_a_setting_and_a_bad_one_says_what_to_write() {
        let read = |text: &str| Outcomes::try_from(text.to_owned());
        assert_eq!(read("approve").unwrap(), Outcomes::Approve);
        assert_eq!(read("decline_above:5000").unwrap(), Outcomes::DeclineAbove(5000));
        assert!(read("decline_above:much").unwrap_err().to_string().contains("write approve"));
    }
}
