//! Placing an order.

use shop_auth::Caller;
use shop_core::{Money, RequestKey};
use shop_messaging::{Outgoing, inbox};
use shop_proto::events::{OrderCanceled, OrderCreated, OrderLine};
use shop_telemetry::Carrier;
use sqlx::{PgConnection, PgExecutor, types::Json};
use uuid::Uuid;

use super::Orders;
use crate::{
    domain::{Draft, Line, Order, PaymentStatus, Reason, Refusal, Status},
    error::Error,
    store,
};

impl Orders {
    /// Places an order, or finds the one that was placed under this id or this key. However often and at however many
    /// replicas it is asked at once, one id has one outcome, an order or a refusal, and one key has one order.
    pub async fn create(&self, caller: &Caller, draft: Draft) -> Result<Order, Error> {
        let key = draft.key.clone();
        if let Some(outcome) = self.outcome(caller, draft.order_id, key.as_ref()).await? {
            return outcome;
        }
        let id = draft.order_id.unwrap_or_else(|| self.world.id());
        let lines = self.reserve(caller, id, &draft).await?;
        let placed = match draft.total(&lines) {
            Ok(total) => self.place(caller, self.new_order(caller, id, draft, total), &lines, key.as_ref()).await?,
            Err(refusal) => {
                self.refuse(caller.id, id, refusal).await?;
                None
            }
        };
        match placed {
            Some(order) => Ok(order),
            // Somebody else was faster with this id, or it was refused just now.
            None => self.outcome(caller, Some(id), key.as_ref()).await?.unwrap_or(Err(Error::NotFound)),
        }
    }

    /// What came of a key or an order id, if one of them was used before.
    async fn outcome(
        &self,
        caller: &Caller,
        id: Option<Uuid>,
        key: Option<&RequestKey>,
    ) -> Result<Option<Result<Order, Error>>, Error> {
        if let Some(order) = self.made_under(caller, key).await? {
            return Ok(Some(Ok(order)));
        }
        let Some(id) = id else { return Ok(None) };
        let Some(attempt) = store::attempt(&self.pool, id).await? else { return Ok(None) };
        if attempt.user_id != caller.id {
            return Ok(Some(Err(Error::IdTaken)));
        }
        if let Some(refusal) = attempt.refusal {
            return Ok(Some(Err(Error::Refused(refusal))));
        }
        let mut connection = self.pool.acquire().await?;
        let order = store::order_of(&mut *connection, id, caller.id).await?.ok_or(Error::NotFound)?;
        // A second tab joins the checkout of the first under a key of its own, which stands for that order too.
        let before = self.keep(&mut connection, key, &order).await?;
        Ok(Some(Ok(before.unwrap_or(order))))
    }

    async fn reserve(&self, caller: &Caller, id: Uuid, draft: &Draft) -> Result<Vec<Line>, Error> {
        let reservation = self.catalog.reserve(caller, id, &draft.lines).await?;
        if reservation.currency != self.currency {
            return Err(Error::CatalogAnswer(format!("its prices are in {}", reservation.currency)));
        }
        if draft.asks_for(&reservation.lines) { Ok(reservation.lines) } else { Err(Error::LinesDiffer) }
    }

    fn new_order(&self, caller: &Caller, id: Uuid, draft: Draft, total: Money) -> Order {
        Order {
            id,
            user_id: caller.id,
            status: Status::Created,
            payment_status: PaymentStatus::None,
            total_minor: total.0,
            currency: self.currency,
            address: draft.address,
            trace: Json(Carrier::current()),
            // Its row will say so more exactly.
            created_at: self.world.now(),
        }
    }

    /// Writes the order and tells of it; `None` when the id is taken. A key that made another order meanwhile gives that,
    /// and the stock set aside for this one goes back.
    async fn place(
        &self,
        caller: &Caller,
        order: Order,
        lines: &[Line],
        key: Option<&RequestKey>,
    ) -> Result<Option<Order>, Error> {
        let placed = if key.is_none() {
            self.write(&self.pool, order, lines).await?
        } else {
            let mut tx = self.pool.begin().await?;
            let before = self.keep(&mut tx, key, &order).await;
            if matches!(&before, Ok(Some(_))) || before.as_ref().is_err_and(Error::is_key_reused) {
                tx.rollback().await?;
                self.refuse(caller.id, order.id, Refusal::KeyUsed).await?;
                return before;
            }
            before?;
            let Some(placed) = self.write(&mut *tx, order, lines).await? else { return Ok(None) };
            tx.commit().await?;
            Some(placed)
        };
        if placed.is_some() {
            self.metrics.moved(Status::Created, Reason::Placed);
            self.outbox.wake();
        }
        Ok(placed)
    }

    async fn write(&self, executor: impl PgExecutor<'_>, order: Order, lines: &[Line]) -> Result<Option<Order>, Error> {
        let created = Outgoing::new(&created(&order, lines), &*self.world)?;
        let placed = store::place(executor, &order, lines, self.unpaid_expiry, created).await?;
        Ok(placed.map(|created_at| Order { created_at, ..order }))
    }

    /// The catalog asks what became of a checkout whose stock it has set aside. One that made no order by now never will. An
    /// order that is there says by itself what becomes of it.
    pub async fn answer_for(&self, event: Uuid, user: Uuid, id: Uuid) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::first_time(&mut tx, event).await?.is_some() {
            self.close(&mut tx, user, id, Refusal::Expired).await?;
            tx.commit().await?;
            self.outbox.wake();
        }
        Ok(())
    }

    /// The order of a checkout that its buyer gives up. If there is none by now, there never will be.
    pub async fn close_checkout(&self, caller: &Caller, id: Uuid) -> Result<Option<Order>, Error> {
        self.refuse(caller.id, id, Refusal::Expired).await?;
        match self.outcome(caller, Some(id), None).await? {
            Some(Err(Error::Refused(_))) => Ok(None),
            Some(outcome) => outcome.map(Some),
            None => Err(Error::NotFound),
        }
    }

    async fn refuse(&self, user: Uuid, id: Uuid, refusal: Refusal) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        self.close(&mut tx, user, id, refusal).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }

    /// Writes that no order comes of this id, unless it is taken, and has the stock released that was reserved for it.
    async fn close(&self, tx: &mut PgConnection, user: Uuid, id: Uuid, refusal: Refusal) -> sqlx::Result<()> {
        if !store::refuse(tx, id, user, refusal).await? {
            return Ok(());
        }
        let (order_id, user_id) = (id.to_string(), user.to_string());
        let canceled = OrderCanceled { order_id, user_id, reason: refusal.code().to_owned() };
        self.outbox.push(tx, &canceled, &*self.world).await
    }
}

/// When it expires, the statement that writes it adds.
fn created(order: &Order, lines: &[Line]) -> OrderCreated {
    let lines = lines.iter().map(|line| OrderLine {
        product_id: line.product_id.to_string(),
        seller_id: line.seller_id.to_string(),
        product_name: line.product_name.clone(),
        unit_price_minor: line.unit_price_minor,
        quantity: line.quantity,
    });
    OrderCreated {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        total_minor: order.total_minor,
        currency: order.currency.code().to_owned(),
        lines: lines.collect(),
        expires_at: String::new(),
    }
}
