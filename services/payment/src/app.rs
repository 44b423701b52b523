//! What the payment service does, one transaction each.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use shop_core::{Currency, Fault, Money, World};
use shop_db::{DbError, Pool, Wake, Work, Worker};
use shop_messaging::{Incoming, Outbox, inbox};
use shop_proto::events::{PaymentFailed, PaymentPending, PaymentRefunded, PaymentSucceeded};
use shop_telemetry::Carrier;
use sqlx::PgConnection;
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
        let mut tx = self.pool.begin().await.map_err(DbError)?;
        let Some(now) = inbox::first_time(&mut tx, event.id).await.map_err(DbError)? else {
            return Ok(());
        };
        event.check_remembered(now)?;
        let payment = Payment {
            expires_at: due.expires_at,
            trace: Carrier::current(),
            ..Payment::pending(self.world.id(), due.order_id, due.amount, self.currency.to_string(), now)
        };
        if store::insert(&mut tx, &payment).await? {
            let pending = PaymentPending { order_id: payment.order_id.to_string(), payment_id: payment.id.to_string() };
            self.outbox.push(&mut tx, &pending, &*self.world).await.map_err(DbError)?;
        }
        tx.commit().await.map_err(DbError)?;
        self.outbox.wake();
        self.wake.wake();
        Ok(())
    }

    /// An order was canceled: nothing is captured for it any more, and what was captured goes back.
    pub async fn cancel(&self, event: Uuid, order_id: Uuid) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let Some(now) = inbox::first_time(&mut tx, event).await? else {
            return Ok(());
        };
        let never = Payment::never(self.world.id(), order_id, now);
        if !store::insert(&mut tx, &never).await? {
            let (mut payment, _) = store::lock(&mut tx, order_id).await?;
            payment.cancel(now, Carrier::current());
            store::save(&mut tx, &payment).await?;
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

    /// Writes what the provider answered. What it answered to somebody whose lease is over counts for nothing: whoever has
    /// the lease now asks it again, and may have asked for the opposite.
    async fn settle(&self, claimed: &Payment, outcome: Outcome) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let (mut payment, now) = store::lock(&mut tx, claimed.order_id).await?;
        if payment.due_at != claimed.due_at {
            return Ok(());
        }
        let Some(announcements) = payment.settle(outcome, now) else { return Ok(()) };
        store::save(&mut tx, &payment).await?;
        for announcement in announcements {
            self.announce(&mut tx, &payment, announcement).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        self.wake.wake();
        Ok(())
    }

    async fn announce(&self, tx: &mut PgConnection, payment: &Payment, what: Announcement) -> sqlx::Result<()> {
        let (order_id, payment_id) = (payment.order_id.to_string(), payment.id.to_string());
        let (amount_minor, currency) = (payment.amount.0, payment.currency.clone());
        match what {
            Announcement::Succeeded => {
                let event = PaymentSucceeded { order_id, payment_id, amount_minor, currency };
                self.outbox.push(tx, &event, &*self.world).await
            }
            Announcement::Failed => {
                let reason = payment.reason.clone().unwrap_or_default();
                self.outbox.push(tx, &PaymentFailed { order_id, payment_id, reason }, &*self.world).await
            }
            Announcement::Refunded => {
                let event = PaymentRefunded { order_id, payment_id, amount_minor, currency };
                self.outbox.push(tx, &event, &*self.world).await
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
            Ok(self.settle(&payment, outcome).await?)
        }
        .instrument(span)
        .await
    }
}
