//! Stock set aside for orders: reserved by a call, committed, released or put back by events of order, and by nothing else.
//!
//! Time gives nothing back: an order that was paid may tell of it as late as it likes. It is order that knows of each id what
//! became of it, so after a while it is asked ([`Catalog::ask_after_unclaimed`]), and says `order.canceled` of what never
//! was an order. No clock and no delay then lets stock be sold twice.

use jiff::Timestamp;
use shop_messaging::{Outgoing, inbox};
use shop_proto::events::{InventoryChanged, InventoryRejected, InventoryUnclaimed};
use uuid::Uuid;

use super::Catalog;
use crate::{
    domain::stock::{self, Line, Movement, State, Step, Wanted},
    error::Error,
    store,
};

/// How many orders are asked after in one transaction.
const BATCH: i64 = 100;

/// What an order was promised.
pub struct Reservation {
    /// Its lines, in the order they were wanted.
    pub lines: Vec<Line>,
    /// When the order is asked after unless it was paid.
    pub expires_at: Timestamp,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// It was paid.
    Paid,
    /// It ended, before or after it was paid.
    Canceled,
}

impl OrderEvent {
    const fn step(self, state: State) -> Step {
        match self {
            Self::Paid => state.paid(),
            Self::Canceled => state.canceled(),
        }
    }
}

impl Catalog {
    /// Sets stock aside for an order: all lines or none. An order that has its reservation gets the same answer again.
    #[tracing::instrument(name = "reserve stock", skip_all, fields(order.id = %order))]
    pub async fn reserve(&self, user: Uuid, order: Uuid, wanted: &[Wanted]) -> Result<Reservation, Error> {
        let ids: Vec<Uuid> = wanted.iter().map(|line| line.product_id).collect();
        loop {
            let offers = store::inventory::offers(&self.pool, &ids).await?;
            let lines = match stock::price(wanted, &offers) {
                Ok(lines) => lines,
                // It may be this order that has them.
                Err(short) => return self.existing(user, order).await?.ok_or(Error::Short(short)),
            };
            let told = self.changed(&lines)?;
            match store::reservations::reserve(&self.pool, (order, user), self.reservation, &lines, &told).await {
                Ok(Some(expires_at)) => {
                    self.outbox.wake();
                    return Ok(Reservation { lines, expires_at });
                }
                Ok(None) => return self.existing(user, order).await?.ok_or(Error::ReservationOver),
                // Somebody else was faster, and what is left may still do.
                Err(error) if shop_db::violates(&error, store::reservations::ENOUGH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The reservation an order already has.
    async fn existing(&self, user: Uuid, order: Uuid) -> Result<Option<Reservation>, Error> {
        let Some(head) = store::reservations::find(&self.pool, order, None).await? else { return Ok(None) };
        if head.state == State::Released {
            return Err(Error::ReservationOver);
        }
        if head.user_id != Some(user) {
            return Err(Error::ForeignOrder);
        }
        let lines = store::reservations::lines(&self.pool, order).await?;
        Ok(Some(Reservation { lines, expires_at: head.expires_at }))
    }

    /// Moves an order's reservation on, once for each event. An order that was paid and has no reservation any more is
    /// answered by `inventory.rejected`; one that ended before it was reserved can no longer be reserved.
    pub async fn settle(&self, event_id: Uuid, order: Uuid, event: OrderEvent) -> Result<(), Error> {
        loop {
            let head = store::reservations::find(&self.pool, order, Some(event_id)).await?;
            if head.as_ref().is_some_and(|head| head.heard) {
                return Ok(());
            }
            let state = head.map(|head| head.state);
            let settled = match state.map(|state| (state, event.step(state))) {
                Some((state, Step::Move(next, movement))) => {
                    self.advance((order, event_id), (state, next), movement).await?
                }
                Some((_, Step::Stay | Step::Reject)) | None => self.leave(order, event_id, event).await?,
            };
            if settled {
                self.outbox.wake();
                return Ok(());
            }
            // Somebody else has moved it since, and there are only so many moves.
        }
    }

    async fn advance(&self, names: (Uuid, Uuid), states: (State, State), movement: Movement) -> Result<bool, Error> {
        let lines = store::reservations::lines(&self.pool, names.0).await?;
        let told = self.changed(&lines)?;
        Ok(store::reservations::advance(&self.pool, names, states, (&lines, movement), &told).await?)
    }

    /// Handles an event that moves nothing; `false`, and nothing is written, when it would after all.
    async fn leave(&self, order: Uuid, event_id: Uuid, event: OrderEvent) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::first_time(&mut tx, event_id).await?.is_none() {
            return Ok(true);
        }
        match event.step(store::reservations::lock_or_close(&mut tx, order).await?) {
            Step::Move(..) => return Ok(false),
            Step::Stay => {}
            Step::Reject => {
                let reason = "the reservation has ended".to_owned();
                self.push(&mut tx, &InventoryRejected { order_id: order.to_string(), reason }).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Asks what became of orders whose stock nobody has come for in time; `true` when there may be more. An order that is
    /// still open is asked after again.
    pub async fn ask_after_unclaimed(&self) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let unclaimed = store::reservations::prolong(&mut tx, self.reservation, BATCH).await?;
        for store::reservations::Unclaimed { order_id, user_id } in &unclaimed {
            let event = InventoryUnclaimed { order_id: order_id.to_string(), user_id: user_id.to_string() };
            self.push(&mut tx, &event).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        Ok(i64::try_from(unclaimed.len()) == Ok(BATCH))
    }

    /// What is told of the stock of `lines`; how many there are, the statement that moves them adds.
    fn changed(&self, lines: &[Line]) -> sqlx::Result<Vec<Outgoing>> {
        let changed = lines.iter().map(|line| {
            let product_id = line.product_id.to_string();
            Outgoing::new(&InventoryChanged { product_id, ..InventoryChanged::default() }, &*self.world)
        });
        changed.collect()
    }
}
