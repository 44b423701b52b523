//! What the payment service does, one transaction each.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use shop_core::{Currency, Fault, Money, World};
use shop_db::{DbError, Pool, Wake, Work, Worker};
use shop_messaging::{Incoming, Outbox, Outgoing, inbox};
use shop_proto::events::{PaymentFailed, PaymentPending, PaymentRefunded, PaymentSucceeded};
use shop_telemetry::Carrier;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    domain::{Announcement, Outcome, Payment, Step},
    provider::{Capture, Charge, PaymentProvider, Refund},
    store,
};

/// The use cases with what they need; a clone is the same service.
#[derive(Clone)]
pub struct Payments {
    /// The database.
    pub pool: Pool,
    /// Where events go.
    pub outbox: Outbox,
    /// Ids.
    pub world: Arc<dyn World>,
    /// Who moves the money.
    pub provider: Arc<dyn PaymentProvider>,
    /// Wakes the worker.
    pub wake: Wake,
    /// The Shop's currency.
    pub currency: Currency,
}

/// An order to be paid.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Its id.
    pub order_id: Uuid,
    /// How much.
    pub amount: Money,
    /// The last moment to begin a capture.
    pub expires_at: Option<Timestamp>,
}

impl Payments {
    /// The worker that asks the provider, and waits so long for an answer.
    #[must_use]
    pub fn worker(&self, patience: Duration) -> Worker<Self> {
        Worker { work: self.clone(), pool: self.pool.clone(), wake: self.wake.clone(), patience }
    }

    /// An order was made: its payment is recorded, once, and captured later by the worker.
    pub async fn open(&self, event: &Incoming, due: Due) -> Result<(), Fault> {
        let Some(now) = inbox::unheard(&self.pool, event.id).await.map_err(DbError)? else {
            return Ok(());
        };
        event.check_remembered(now)?;
        let payment = Payment {
            expires_at: due.expires_at,
            trace: Carrier::current(),
            ..Payment::pending(self.world.id(), due.order_id, due.amount, self.currency.to_string(), now)
        };
        let pending = PaymentPending { order_id: payment.order_id.to_string(), payment_id: payment.id.to_string() };
        let told = Outgoing::new(&pending, &*self.world).map_err(DbError)?;
        store::open(&self.pool, event.id, &payment, &[told]).await?;
        self.outbox.wake();
        self.wake.wake();
        Ok(())
    }

    /// An order was canceled: nothing is captured for it any more, and what was captured goes back.
    pub async fn cancel(&self, event: Uuid, order_id: Uuid) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let Some(now) = inbox::unheard(&mut *tx, event).await? else {
            return Ok(());
        };
        let never = Payment::never(self.world.id(), order_id, now);
        if !store::open(&mut *tx, event, &never, &[]).await? {
            // Somebody may move it at the same time.
            loop {
                let before = store::find(&mut *tx, order_id).await?;
                let mut after = before.clone();
                after.cancel(now, Carrier::current());
                if store::save(&mut *tx, &before, &after, &[]).await? {
                    break;
                }
            }
        }
        tx.commit().await?;
        self.wake.wake();
        Ok(())
    }

    async fn ask(&self, step: Step, payment: &Payment) -> Result<Outcome, Fault> {
        match step {
            Step::Capture => {
                let charge = Charge {
                    key: payment.id,
                    order_id: payment.order_id,
                    amount: payment.amount,
                    currency: payment.currency.clone(),
                };
                Ok(match self.provider.capture(&charge).await? {
                    Capture::Taken => Outcome::Captured,
                    Capture::Declined { reason } => Outcome::Declined(reason),
                })
            }
            Step::GiveBack => Ok(match self.provider.refund(payment.id).await? {
                Refund::GivenBack => Outcome::GivenBack,
                Refund::Nothing => Outcome::NothingToGiveBack,
            }),
        }
    }

    /// Writes what the provider answered to `claimed`. What it answered to somebody whose lease is over counts for nothing:
    /// whoever has the lease now asks it again, and may have asked for the opposite.
    async fn settle(&self, claimed: Payment, outcome: Outcome, now: Timestamp) -> Result<(), DbError> {
        let lease = claimed.due_at;
        let mut before = claimed;
        while before.due_at == lease {
            let mut after = before.clone();
            let Some(announcements) = after.settle(outcome.clone(), now) else { break };
            let told: sqlx::Result<Vec<Outgoing>> =
                announcements.into_iter().map(|what| self.announcement(&after, what)).collect();
            if store::save(&self.pool, &before, &after, &told?).await? {
                self.outbox.wake();
                self.wake.wake();
                break;
            }
            // The order was canceled while the provider was asked, or the lease is over.
            before = store::find(&self.pool, before.order_id).await?;
        }
        Ok(())
    }

    fn announcement(&self, payment: &Payment, what: Announcement) -> sqlx::Result<Outgoing> {
        let (order_id, payment_id) = (payment.order_id.to_string(), payment.id.to_string());
        let (amount_minor, currency) = (payment.amount.0, payment.currency.clone());
        let world = &*self.world;
        match what {
            Announcement::Succeeded => {
                Outgoing::new(&PaymentSucceeded { order_id, payment_id, amount_minor, currency }, world)
            }
            Announcement::Failed => {
                let reason = payment.reason.clone().unwrap_or_default();
                Outgoing::new(&PaymentFailed { order_id, payment_id, reason }, world)
            }
            Announcement::Refunded => {
                Outgoing::new(&PaymentRefunded { order_id, payment_id, amount_minor, currency }, world)
            }
        }
    }
}

impl Work for Payments {
    const TABLE: &'static str = "payments";
    type Row = Payment;

    async fn step(&self, payment: Payment, now: Timestamp) -> Result<(), Fault> {
        let Some(step) = payment.next_step(now) else { return Ok(()) };
        let name = match step {
            Step::Capture => "capture payment",
            Step::GiveBack => "refund payment",
        };
        let span =
            tracing::info_span!("payment", otel.name = name, payment.id = %payment.id, order.id = %payment.order_id);
        payment.trace.parent_of(&span);
        async {
            let outcome = self.ask(step, &payment).await?;
            Ok(self.settle(payment, outcome, now).await?)
        }
        .instrument(span)
        .await
    }
}
