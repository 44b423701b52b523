//! Use cases, one transaction each.

mod create;
mod keys;
mod views;

use std::{sync::Arc, time::Duration};

use shop_auth::Caller;
use shop_core::{Currency, World};
use shop_db::Pool;
use shop_messaging::{Outbox, Outgoing};
use shop_proto::events::{OrderCanceled, OrderDelivered, OrderPaid, OrderShipped, ShippingAddress};
use sqlx::PgExecutor;
use tracing::Instrument as _;
use uuid::Uuid;

pub use views::{Listed, OrderView};

use crate::{
    catalog::Catalog,
    domain::{Decision, Event, Move, Order, State, Status, decide},
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
        let decision = decide(order.state(), Event::CancelRequested);
        if decision == Decision::Refused {
            return Err(Error::NotCancelable(order.status));
        }
        self.advance(&mut *tx, &order, &decision, None).await?;
        let after = store::order_of(&mut *tx, id, caller.id).await?.ok_or(Error::NotFound)?;
        tx.commit().await?;
        self.committed(Event::CancelRequested, &decision);
        Ok(after)
    }

    /// A neighbour tells what happened to an order.
    pub async fn hear(&self, notice: &Notice) -> Result<(), Error> {
        loop {
            let found = store::addressed(&self.pool, notice.order, notice.id).await?;
            let store::Addressed { order, heard } = found.ok_or_else(|| notice.about_nothing())?;
            if heard {
                self.metrics.duplicate(notice.event);
                return Ok(());
            }
            notice.check_amount(&order)?;
            let decision = decide(order.state(), notice.event);
            if self.advance(&self.pool, &order, &decision, Some(notice.id)).await? {
                self.committed(notice.event, &decision);
                return Ok(());
            }
            // Somebody else has moved it since, and there are only so many moves.
        }
    }

    /// Cancels orders that were not paid in time; `true` when there may be more. Any number of replicas may do it at once.
    pub async fn expire(&self) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let expired = store::lock_expired(&mut tx, EXPIRY_BATCH).await?;
        let mut decisions = Vec::with_capacity(expired.len());
        for order in &expired {
            let span = tracing::info_span!("expire order", otel.kind = "internal", order.id = %order.id);
            order.trace.parent_of(&span);
            let decision = decide(order.state(), Event::Expired);
            self.advance(&mut *tx, order, &decision, None).instrument(span).await?;
            decisions.push(decision);
        }
        tx.commit().await?;
        for decision in &decisions {
            self.committed(Event::Expired, decision);
        }
        Ok(i64::try_from(expired.len()) == Ok(EXPIRY_BATCH))
    }

    /// Moves an order as the state machine decided when it was `order`; `false` when it is not any more.
    async fn advance(
        &self,
        executor: impl PgExecutor<'_>,
        order: &Order,
        decision: &Decision,
        because: Option<Uuid>,
    ) -> Result<bool, Error> {
        let (to, steps) = match decision {
            Decision::Moves(steps) => (steps.last().map_or(order.state(), |step| step.state()), steps.clone()),
            Decision::Payment(payment) => (State { payment: *payment, ..order.state() }, Vec::new()),
            Decision::Ignored | Decision::Refused => (order.state(), Vec::new()),
        };
        let events: sqlx::Result<Vec<Outgoing>> =
            steps.iter().filter_map(|step| self.announcement(order, *step)).collect();
        let change = store::Change { to, steps, events: events? };
        Ok(store::advance(executor, order, &change, because).await?)
    }

    fn announcement(&self, order: &Order, step: Move) -> Option<sqlx::Result<Outgoing>> {
        let (order_id, user_id) = (order.id.to_string(), order.user_id.to_string());
        let world = &*self.world;
        match step.to {
            // A new order is announced with its lines, by `create`; that its payment has begun, payment itself told.
            Status::Created | Status::Pending => None,
            Status::Paid => Some(Outgoing::new(&paid(order), world)),
            Status::Shipped => Some(Outgoing::new(&OrderShipped { order_id, user_id }, world)),
            Status::Delivered => Some(Outgoing::new(&OrderDelivered { order_id, user_id }, world)),
            Status::Canceled => {
                let reason = step.reason.as_str().to_owned();
                Some(Outgoing::new(&OrderCanceled { order_id, user_id, reason }, world))
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
