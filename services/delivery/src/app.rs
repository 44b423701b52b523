//! What the delivery service does, one transaction each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use shop_core::{Fault, World};
use shop_db::{DbError, Pool, Wake, Work, Worker};
use shop_messaging::{Incoming, Outbox, Outgoing, inbox};
use shop_proto::events::{DeliveryDelivered, DeliveryFailed, DeliveryShipped};
use shop_telemetry::Carrier;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    domain::{Address, Announcement, Delivery, Outcome, Step},
    provider::{DeliveryProvider, Parcel, Recall, Shipment, Tracking},
    store,
};

/// The use cases with what they need; a clone is the same service.
#[derive(Clone)]
pub struct Deliveries {
    /// The database.
    pub pool: Pool,
    /// Where events go.
    pub outbox: Outbox,
    /// Ids.
    pub world: Arc<dyn World>,
    /// Who carries the parcels.
    pub provider: Arc<dyn DeliveryProvider>,
    /// Wakes the worker.
    pub wake: Wake,
}

impl Deliveries {
    /// The worker that asks the carrier, and waits so long for an answer.
    #[must_use]
    pub fn worker(&self, patience: Duration) -> Worker<Self> {
        Worker { work: self.clone(), pool: self.pool.clone(), wake: self.wake.clone(), patience }
    }

    /// An order was paid: its delivery is recorded, once, and shipped later by the worker.
    pub async fn open(&self, event: &Incoming, order_id: Uuid, address: Address) -> Result<(), Fault> {
        let Some(now) = inbox::unheard(&self.pool, event.id).await.map_err(DbError)? else {
            return Ok(());
        };
        event.check_remembered(now)?;
        let delivery = Delivery::pending(self.world.id(), order_id, address, now);
        store::open(&self.pool, event.id, &Delivery { trace: Carrier::current(), ..delivery }).await?;
        self.wake.wake();
        Ok(())
    }

    /// An order was canceled: nothing is shipped for it any more, and what was shipped is called back.
    pub async fn cancel(&self, event: Uuid, order_id: Uuid) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let Some(now) = inbox::unheard(&mut *tx, event).await? else {
            return Ok(());
        };
        let never = Delivery::never(self.world.id(), order_id, now);
        if !store::open(&mut *tx, event, &never).await? {
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

    async fn ask(&self, step: Step, delivery: &Delivery) -> Result<Outcome, Fault> {
        Ok(match step {
            Step::Ship => {
                let (key, order_id) = (delivery.id, delivery.order_id);
                let parcel = Parcel { key, order_id, address: delivery.address.clone() };
                match self.provider.ship(&parcel).await? {
                    Shipment::Accepted { takes } => Outcome::Shipped(takes),
                    Shipment::Refused { reason } => Outcome::Refused(reason),
                }
            }
            Step::Track => match self.provider.track(delivery.id).await? {
                Tracking::OnItsWay { takes } => Outcome::OnItsWay(takes),
                Tracking::Arrived => Outcome::Arrived,
                Tracking::Undeliverable { reason } => Outcome::Undeliverable(reason),
            },
            Step::Recall => match self.provider.recall(delivery.id).await? {
                Recall::ComesBack => Outcome::Recalled,
                Recall::Nothing => Outcome::NothingToRecall,
            },
        })
    }

    /// Writes what the carrier answered to `claimed`. What it answered to somebody whose lease is over counts for nothing:
    /// whoever has the lease now asks it again, and may have asked for the opposite.
    async fn settle(&self, claimed: Delivery, outcome: Outcome, now: Timestamp) -> Result<(), DbError> {
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
            // The order was canceled while the carrier was asked, or the lease is over.
            before = store::find(&self.pool, before.order_id).await?;
        }
        Ok(())
    }

    fn announcement(&self, delivery: &Delivery, what: Announcement) -> sqlx::Result<Outgoing> {
        let (order_id, delivery_id) = (delivery.order_id.to_string(), delivery.id.to_string());
        let world = &*self.world;
        match what {
            Announcement::Shipped => Outgoing::new(&DeliveryShipped { order_id, delivery_id }, world),
            Announcement::Delivered => Outgoing::new(&DeliveryDelivered { order_id, delivery_id }, world),
            Announcement::Failed => {
                let reason = delivery.reason.clone().unwrap_or_default();
                Outgoing::new(&DeliveryFailed { order_id, delivery_id, reason }, world)
            }
        }
    }
}

impl Work for Deliveries {
    const TABLE: &'static str = "deliveries";
    type Row = Delivery;

    async fn step(&self, delivery: Delivery, now: Timestamp) -> Result<(), Fault> {
        let Some(step) = delivery.next_step() else { return Ok(()) };
        let name = match step {
            Step::Ship => "ship parcel",
            Step::Track => "deliver parcel",
            Step::Recall => "recall parcel",
        };
        let span = tracing::info_span!("delivery", otel.name = name, delivery.id = %delivery.id, order.id = %delivery.order_id);
        delivery.trace.parent_of(&span);
        async {
            let asked = Instant::now();
            let outcome = self.ask(step, &delivery).await?;
            Ok(self.settle(delivery, outcome, now + asked.elapsed()).await?)
        }
        .instrument(span)
        .await
    }
}
