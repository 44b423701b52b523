//! Stock set aside for orders: reserved by a call, committed, released or put back by events, released by time.

use jiff::Timestamp;
use shop_core::Fault;
use shop_messaging::inbox;
use shop_proto::events::InventoryRejected;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Catalog;
use crate::{
    domain::stock::{self, Line, Movement, State, Step, Wanted},
    error::Error,
    store,
};

/// What an order was promised, and until when.
pub struct Reservation {
    /// Its lines, in the order they were wanted.
    pub lines: Vec<Line>,
    /// When its goods go back unless it is paid.
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
        let now = self.world.now();
        let expires_at = now.checked_add(self.reservation).map_err(Fault::internal)?;
        let mut tx = self.pool.begin().await?;
        let Some(expires_at) = store::reservations::open(&mut tx, order, user, expires_at, now).await? else {
            return existing(&mut tx, user, order, now).await;
        };
        let ids: Vec<Uuid> = wanted.iter().map(|line| line.product_id).collect();
        let offers = store::inventory::lock_offers(&mut tx, &ids).await?;
        let lines = stock::price(wanted, &offers).map_err(Error::Short)?;
        store::reservations::add_lines(&mut tx, order, &lines).await?;
        self.shift(&mut tx, &lines, Movement::Hold, now).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(Reservation { lines, expires_at })
    }

    /// Moves an order's reservation on, once for each event. An order that was paid and has no reservation any more is
    /// answered by `inventory.rejected`; one that ended before it was reserved can no longer be reserved.
    pub async fn settle(&self, event_id: Uuid, order: Uuid, event: OrderEvent) -> Result<(), Error> {
        let now = self.world.now();
        let mut tx = self.pool.begin().await?;
        if !inbox::first_time(&mut tx, event_id, now).await? {
            return Ok(());
        }
        let state = store::reservations::lock_or_close(&mut tx, order, now).await?;
        let step = match event {
            OrderEvent::Paid => state.paid(),
            OrderEvent::Canceled => state.canceled(),
        };
        match step {
            Step::Move(next, movement) => self.advance(&mut tx, order, next, movement, now).await?,
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

    /// Gives the goods of one expired reservation back; `false` when there is none.
    pub async fn release_expired(&self) -> Result<bool, Error> {
        let now = self.world.now();
        let mut tx = self.pool.begin().await?;
        let Some(order) = store::reservations::lock_expired(&mut tx, now).await? else {
            return Ok(false);
        };
        self.advance(&mut tx, order, State::Released, Movement::Release, now).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(true)
    }

    async fn advance(
        &self,
        tx: &mut PgConnection,
        order: Uuid,
        next: State,
        movement: Movement,
        now: Timestamp,
    ) -> Result<(), Error> {
        let lines = store::reservations::lines(tx, order).await?;
        store::reservations::set_state(tx, order, next, now).await?;
        self.shift(tx, &lines, movement, now).await
    }

    async fn shift(
        &self,
        tx: &mut PgConnection,
        lines: &[Line],
        movement: Movement,
        now: Timestamp,
    ) -> Result<(), Error> {
        for inventory in store::inventory::apply(tx, lines, movement, now).await? {
            self.push_inventory(tx, &inventory).await?;
        }
        Ok(())
    }
}

/// The reservation an order already has.
async fn existing(tx: &mut PgConnection, user: Uuid, order: Uuid, now: Timestamp) -> Result<Reservation, Error> {
    let head = store::reservations::find(tx, order).await?.ok_or(Error::ReservationOver)?;
    let over = match head.state {
        State::Reserved => head.expires_at <= now,
        State::Committed => false,
        State::Released => true,
    };
    if over {
        return Err(Error::ReservationOver);
    }
    if head.user_id != Some(user) {
        return Err(Error::ForeignOrder);
    }
    Ok(Reservation { lines: store::reservations::lines(tx, order).await?, expires_at: head.expires_at })
}
