//! The outbox: an event is a row written together with the change it tells of, so there is never one without the other.

use std::sync::Arc;

use shop_core::World;
use shop_proto::events::Event;
use shop_telemetry::Carrier;
use sqlx::{PgConnection, types::Json};
use tokio::sync::Notify;

/// The writing end; a clone is the same outbox.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    written: Arc<Notify>,
}

impl Outbox {
    /// Writes `event` in the caller's transaction, with the trace of the current span.
    pub async fn push<E: Event>(&self, tx: &mut PgConnection, event: &E, world: &dyn World) -> sqlx::Result<()> {
        let route = E::ROUTE;
        sqlx::query(
            // Available whatever the time is: a database whose clock jumps back holds up nothing that was not sent yet.
            "INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at)
             VALUES ($1, $2, $3, $4, $5, $6, now(), '-infinity')",
        )
        .bind(world.id())
        .bind(route.exchange)
        .bind(route.key)
        .bind(route.mandatory())
        .bind(Json(event))
        .bind(Json(Carrier::current()))
        .execute(tx)
        .await
        .map(|_| ())
    }

    /// Tells the relay of this process that something was committed. Without it the relay finds out within a second.
    /// A NOTIFY in the transaction would serialise every commit of the whole database server.
    pub fn wake(&self) {
        self.written.notify_one();
    }

    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }
}
