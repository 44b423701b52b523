//! The outbox: an event is a row written together with the change it tells of, so there is never one without the other.

use std::sync::Arc;

use serde::Serialize;
use shop_core::World;
use shop_proto::events::Event;
use shop_telemetry::Carrier;
use sqlx::{PgConnection, types::Json};
use tokio::sync::Notify;
use uuid::Uuid;

/// The part of a statement that writes events for each row of `$from`: those of the parameter `$events`, which is an array of
/// [`Outgoing`](crate::Outgoing) as JSON. A change and its events then take one round trip and no transaction of their own.
///
/// They are available whatever the time is: a database whose clock jumps back holds up nothing that was not sent yet.
#[macro_export]
macro_rules! outbox_rows {
    ($events:literal, $from:literal) => {
        $crate::outbox_rows!($events, $from, "event.payload")
    };
    ($events:literal, $from:literal, $payload:literal) => {
        concat!(
            "INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at)
             SELECT event.id, event.exchange, event.routing_key, event.mandatory, ",
            $payload,
            ", event.trace, now(), '-infinity'::timestamptz FROM ",
            $from,
            ", jsonb_to_recordset(",
            $events,
            "::jsonb) AS event (id uuid, exchange text, routing_key text, mandatory boolean, payload jsonb, trace jsonb)"
        )
    };
}

/// An event on its way to the outbox, in the trace of the span in which it was made.
#[derive(Clone, Debug, Serialize)]
pub struct Outgoing {
    id: Uuid,
    exchange: &'static str,
    routing_key: &'static str,
    mandatory: bool,
    payload: serde_json::Value,
    trace: Carrier,
}

impl Outgoing {
    /// Addresses `event` to whoever reads its kind.
    pub fn new<E: Event>(event: &E, world: &dyn World) -> sqlx::Result<Self> {
        Ok(Self {
            id: world.id(),
            exchange: E::ROUTE.exchange,
            routing_key: E::ROUTE.key,
            mandatory: E::ROUTE.mandatory(),
            payload: serde_json::to_value(event).map_err(|error| sqlx::Error::Encode(error.into()))?,
            trace: Carrier::current(),
        })
    }
}

/// The writing end; a clone is the same outbox.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    written: Arc<Notify>,
}

impl Outbox {
    /// Writes `event` in the caller's transaction, with the trace of the current span.
    pub async fn push<E: Event>(&self, tx: &mut PgConnection, event: &E, world: &dyn World) -> sqlx::Result<()> {
        sqlx::query(outbox_rows!("$1", "(SELECT) AS once"))
            .bind(Json([Outgoing::new(event, world)?]))
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
