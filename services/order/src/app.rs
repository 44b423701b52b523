//! Use cases, one transaction each.

mod create;
mod keys;
mod views;

use std::{sync::Arc, time::Duration};

use shop_auth::Caller;
use shop_core::{Currency, World};
use shop_db::Pool;
use shop_messaging::{Outbox, inbox};
use shop_proto::events::{OrderCanceled, OrderDelivered, OrderPaid, OrderShipped, ShippingAddress};
use sqlx::PgConnection;
use tracing::Instrument as _;
use uuid::Uuid;

pub use views::{Listed, OrderView};

use crate::{
    catalog::Catalog,
    domain::{Decision, Event, Move, Order, Status, decide},
    error::Error,
    events::Notice,
    metrics::OrderMetrics,
    store,
};

/// Orders that expire in one transaction.
const EXPIRY_BATCH: i64 = 100;

/// Everything the use cases need.
pub struct Orders {
    /// The database.
    pub pool: Pool,
    /// Events that leave.
    pub outbox: Outbox,
    /// Ids, and the time until an order has one of its database.
    pub world: Arc<dyn World>,
    /// Stock and prices.
    pub catalog: Catalog,
    /// The Shop's currency.
    pub currency: Currency,
    /// How long an order may stay unpaid.
    pub unpaid_expiry: Duration,
    /// Counters.
    pub metrics: OrderMetrics,
}

impl Orders {
    /// The buyer no longer wants the order. Canceling what is canceled changes nothing.
    pub async fn cancel(&self, caller: &Caller, id: Uuid) -> Result<Order, Error> {
        let mut tx = self.pool.begin().await?;
        let found = store::lock(&mut tx, id).await?;
        let order = found.filter(|order| order.user_id == caller.id).ok_or(Error::NotFound)?;
        let decision = self.apply(&mut tx, &order, Event::CancelRequested).await?;
        if decision == Decision::Refused {
            return Err(Error::NotCancelable(order.status));
        }
        let after = store::order_of(&mut tx, id, caller.id).await?.ok_or(Error::NotFound)?;
        tx.commit().await?;
        self.committed(Event::CancelRequested, &decision);
        Ok(after)
    }

    /// A neighbour tells what happened to an order.
    pub async fn hear(&self, notice: &Notice) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::first_time(&mut tx, notice.id).await?.is_none() {
            self.metrics.duplicate(notice.event);
            return Ok(());
        }
        let order = store::lock(&mut tx, notice.order).await?.ok_or_else(|| notice.about_nothing())?;
        notice.check_amount(&order)?;
        let decision = self.apply(&mut tx, &order, notice.event).await?;
        tx.commit().await?;
        self.committed(notice.event, &decision);
        Ok(())
    }

    /// Cancels orders that were not paid in time; `true` when there may be more. Any number of replicas may do it at once.
    pub async fn expire(&self) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let expired = store::lock_expired(&mut tx, EXPIRY_BATCH).await?;
        let mut decisions = Vec::with_capacity(expired.len());
        for order in &expired {
            let span = tracing::info_span!("expire order", otel.kind = "internal", order.id = %order.id);
            order.trace.parent_of(&span);
            decisions.push(self.apply(&mut tx, order, Event::Expired).instrument(span).await?);
        }
        tx.commit().await?;
        for decision in &decisions {
            self.committed(Event::Expired, decision);
        }
        Ok(i64::try_from(expired.len()) == Ok(EXPIRY_BATCH))
    }

    /// Moves a locked order as the state machine says, with history and events.
    async fn apply(&self, tx: &mut PgConnection, order: &Order, event: Event) -> Result<Decision, Error> {
        let decision = decide(order.state(), event);
        match &decision {
            Decision::Moves(moves) => {
                for step in moves {
                    store::record(tx, order.id, *step).await?;
                    self.announce(tx, order, *step).await?;
                }
            }
            Decision::Payment(payment) => store::set_payment(tx, order.id, *payment).await?,
            Decision::Ignored | Decision::Refused => {}
        }
        Ok(decision)
    }

    async fn announce(&self, tx: &mut PgConnection, order: &Order, step: Move) -> sqlx::Result<()> {
        let (order_id, user_id) = (order.id.to_string(), order.user_id.to_string());
        let world = &*self.world;
        match step.to {
            // A new order is announced with its lines, by `create`; that its payment has begun, payment itself told.
            Status::Created | Status::Pending => Ok(()),
            Status::Paid => self.outbox.push(tx, &paid(order), world).await,
            Status::Shipped => self.outbox.push(tx, &OrderShipped { order_id, user_id }, world).await,
            Status::Delivered => self.outbox.push(tx, &OrderDelivered { order_id, user_id }, world).await,
            Status::Canceled => {
                let reason = step.reason.as_str().to_owned();
                self.outbox.push(tx, &OrderCanceled { order_id, user_id, reason }, world).await
            }
        }
    }

    fn committed(&self, event: Event, decision: &Decision) {
        self.metrics.decided(event, decision);
        self.outbox.wake();
    }
}

fn paid(order: &Order) -> OrderPaid {
    let address = order.address.clone();
    OrderPaid {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        total_minor: order.total_minor,
        currency: order.currency.code().to_owned(),
        shipping_address: Some(ShippingAddress {
            full_name: address.full_name,
            phone: address.phone,
            city: address.city,
            street: address.street,
        }),
    }
}
