//! What the delivery service does, one transaction each.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use shop_core::{Fault, World};
use shop_db::{DbError, Pool, Wake, Work, Worker};
use shop_messaging::{Incoming, Outbox, inbox};
use shop_proto::events::{DeliveryDelivered, DeliveryFailed, DeliveryShipped};
use shop_telemetry::Carrier;
use sqlx::PgConnection;
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
        let mut tx = self.pool.begin().await.map_err(DbError)?;
        let Some(now) = inbox::first_time(&mut tx, event.id).await.map_err(DbError)? else {
            return Ok(());
        };
        event.check_remembered(now)?;
        let delivery = Delivery::pending(self.world.id(), order_id, address, now);
        store::insert(&mut tx, &Delivery { trace: Carrier::current(), ..delivery }).await?;
        tx.commit().await.map_err(DbError)?;
        self.wake.wake();
        Ok(())
    }

    /// An order was canceled: nothing is shipped for it any more, and what was shipped is called back.
    pub async fn cancel(&self, event: Uuid, order_id: Uuid) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let Some(now) = inbox::first_time(&mut tx, event).await? else {
            return Ok(());
        };
        let never = Delivery::never(self.world.id(), order_id, now);
        if !store::insert(&mut tx, &never).await? {
            let (mut delivery, _) = store::lock(&mut tx, order_id).await?;
            delivery.cancel(now, Carrier::current());
            store::save(&mut tx, &delivery).await?;
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

    async fn settle(&self, order_id: Uuid, outcome: Outcome) -> Result<(), DbError> {
        let mut tx = self.pool.begin().await?;
        let (mut delivery, now) = store::lock(&mut tx, order_id).await?;
        let Some(announcements) = delivery.settle(outcome, now) else { return Ok(()) };
        store::save(&mut tx, &delivery).await?;
        for announcement in announcements {
            self.announce(&mut tx, &delivery, announcement).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        self.wake.wake();
        Ok(())
    }

    async fn announce(&self, tx: &mut PgConnection, delivery: &Delivery, what: Announcement) -> sqlx::Result<()> {
        let (order_id, delivery_id) = (delivery.order_id.to_string(), delivery.id.to_string());
        match what {
            Announcement::Shipped => {
                self.outbox.push(tx, &DeliveryShipped { order_id, delivery_id }, &*self.world).await
            }
            Announcement::Delivered => {
                self.outbox.push(tx, &DeliveryDelivered { order_id, delivery_id }, &*self.world).await
            }
            Announcement::Failed => {
                let reason = delivery.reason.clone().unwrap_or_default();
                self.outbox.push(tx, &DeliveryFailed { order_id, delivery_id, reason }, &*self.world).await
            }
        }
    }
}

impl Work for Deliveries {
    const TABLE: &'static str = "deliveries";
    type Row = Delivery;

    async fn step(&self, delivery: Delivery, _now: Timestamp) -> Result<(), Fault> {
        let Some(step) = delivery.next_step() else { return Ok(()) };
        let name = match step {
            Step::Ship => "ship parcel",
            Step::Track => "deliver parcel",
            Step::Recall => "recall parcel",
        };
        let span = tracing::info_span!("delivery", otel.name = name, delivery.id = %delivery.id, order.id = %delivery.order_id);
        delivery.trace.parent_of(&span);
        async {
            let outcome = self.ask(step, &delivery).await?;
            Ok(self.settle(delivery.order_id, outcome).await?)
        }
        .instrument(span)
        .await
    }
}
