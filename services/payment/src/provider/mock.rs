//! A provider for development. Its ledger is a table beside the service's own, so it keeps its word over restarts and says
//! afterwards what it did.

use std::future::pending;

use futures::future::{BoxFuture, FutureExt as _};
use shop_db::Pool;
use shop_mock::{Subject, Then};
use tokio::time::sleep;
use uuid::Uuid;

use super::{Capture, Charge, PaymentProvider, ProviderError, Refund};
use crate::config::Provider;

/// See the module.
pub struct MockProvider {
    ledger: Pool,
    behaviour: Provider,
}

impl MockProvider {
    /// A provider that writes its ledger through `pool`.
    #[must_use]
    pub fn new(ledger: Pool, behaviour: Provider) -> Self {
        Self { ledger, behaviour }
    }

    async fn take(&self, charge: &Charge) -> Result<Capture, ProviderError> {
        sleep(self.behaviour.latency.0).await;
        let subject = Subject { amount_minor: charge.amount.0, ..Subject::default() };
        let fate = self.behaviour.outcomes.of(&self.ledger, charge.key, subject).await;
        let entry = match fate.map_err(no_answer)? {
            Some(Then::Fail) => return Err(ProviderError("it was told to fail".into())),
            Some(Then::Decline | Then::Undeliverable) => self.enter(charge, "declined").await,
            None => self.enter(charge, "captured").await,
            Some(Then::TimeOut) => {
                self.enter(charge, "captured").await.map_err(no_answer)?;
                pending().await
            }
        };
        let entry = entry.map_err(no_answer)?;
        Ok(if entry == "captured" { Capture::Taken } else { Capture::Declined { reason: entry } })
    }

    /// Writes the first entry of a key; answers with the one that then holds.
    async fn enter(&self, charge: &Charge, entry: &str) -> sqlx::Result<String> {
        // An update that changes nothing, because only a row that was written is given back.
        sqlx::query_scalar(
            "INSERT INTO mock_charges (key, reference, amount_minor, currency, entry, entered_at)
             VALUES ($1, $2, $3, $4, $5, now())
             ON CONFLICT ON CONSTRAINT mock_charges_pkey DO UPDATE SET key = mock_charges.key RETURNING entry",
        )
        .bind(charge.key)
        .bind(charge.order_id)
        .bind(charge.amount.0)
        .bind(&charge.currency)
        .bind(entry)
        .fetch_one(&self.ledger)
        .await
    }

    async fn give_back(&self, key: Uuid) -> Result<Refund, ProviderError> {
        sleep(self.behaviour.latency.0).await;
        // XXX is ISO 4217's code for "no currency".
        let entry: String = sqlx::query_scalar(
            "INSERT INTO mock_charges (key, amount_minor, currency, entry, entered_at) VALUES ($1, 0, 'XXX', 'closed', now())
             ON CONFLICT ON CONSTRAINT mock_charges_pkey DO UPDATE SET
                 entry = CASE mock_charges.entry WHEN 'captured' THEN 'refunded' ELSE mock_charges.entry END,
                 entered_at = excluded.entered_at
             RETURNING entry",
        )
        .bind(key)
        .fetch_one(&self.ledger)
        .await
        .map_err(no_answer)?;
        Ok(if entry == "refunded" { Refund::GivenBack } else { Refund::Nothing })
    }
}

impl PaymentProvider for MockProvider {
    fn capture<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<Capture, ProviderError>> {
        self.take(charge).boxed()
    }

    fn refund(&self, key: Uuid) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        self.give_back(key).boxed()
    }
}

fn no_answer(error: sqlx::Error) -> ProviderError {
    ProviderError(error.into())
}
