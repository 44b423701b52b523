//! Stock set aside for orders: reserved by a call, committed, released or put back by events of order, and by nothing else.
//!
//! Time gives nothing back: an order that was paid may tell of it as late as it likes. It is order that knows of each id what
//! became of it, so after a while it is asked ([`Catalog::ask_after_unclaimed`]), and says `order.canceled` of what never
//! was an order. No clock and no delay then lets stock be sold twice.

use jiff::Timestamp;
use shop_messaging::inbox;
use shop_proto::events::{InventoryRejected, InventoryUnclaimed};
use sqlx::PgConnection;
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

impl Catalog {
    /// Sets stock aside for an order: all lines or none. An order that has its reservation gets the same answer again.
    #[tracing::instrument(name = "reserve stock", skip_all, fields(order.id = %order))]
    pub async fn reserve(&self, user: Uuid, order: Uuid, wanted: &[Wanted]) -> Result<Reservation, Error> {
        let mut tx = self.pool.begin().await?;
        let Some(expires_at) = store::reservations::open(&mut tx, order, user, self.reservation).await? else {
            return existing(&mut tx, user, order).await;
        };
        let ids: Vec<Uuid> = wanted.iter().map(|line| line.product_id).collect();
        let offers = store::inventory::lock_offers(&mut tx, &ids).await?;
        let lines = stock::price(wanted, &offers).map_err(Error::Short)?;
        store::reservations::add_lines(&mut tx, order, &lines).await?;
        self.shift(&mut tx, &lines, Movement::Hold).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(Reservation { lines, expires_at })
    }

    /// Moves an order's reservation on, once for each event. An order that was paid and has no reservation any more is
    /// answered by `inventory.rejected`; one that ended before it was reserved can no longer be reserved.
    pub async fn settle(&self, event_id: Uuid, order: Uuid, event: OrderEvent) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::first_time(&mut tx, event_id).await?.is_none() {
            return Ok(());
        }
        let state = store::reservations::lock_or_close(&mut tx, order).await?;
        let step = match event {
            OrderEvent::Paid => state.paid(),
            OrderEvent::Canceled => state.canceled(),
        };
        match step {
            Step::Move(next, movement) => self.advance(&mut tx, order, next, movement).await?,
            Step::Stay => {}
            Step::Reject => {
                let reason = "the reservation has ended".to_owned();
                self.push(&mut tx, &InventoryRejected { order_id: order.to_string(), reason }).await?;
            }
        }
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
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

    async fn advance(&self, tx: &mut PgConnection, order: Uuid, next: State, movement: Movement) -> Result<(), Error> {
        let lines = store::reservations::lines(tx, order).await?;
        store::reservations::set_state(tx, order, next).await?;
        self.shift(tx, &lines, movement).await
    }

    async fn shift(&self, tx: &mut PgConnection, lines: &[Line], movement: Movement) -> Result<(), Error> {
        for inventory in store::inventory::apply(tx, lines, movement).await? {
            self.push_inventory(tx, &inventory).await?;
        }
        Ok(())
    }
}

/// The reservation an order already has.
async fn existing(tx: &mut PgConnection, user: Uuid, order: Uuid) -> Result<Reservation, Error> {
    let head = store::reservations::find(tx, order).await?.ok_or(Error::ReservationOver)?;
    if head.state == State::Released {
        return Err(Error::ReservationOver);
    }
    if head.user_id != Some(user) {
        return Err(Error::ForeignOrder);
    }
    Ok(Reservation { lines: store::reservations::lines(tx, order).await?, expires_at: head.expires_at })
}
