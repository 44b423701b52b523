//! The use cases. One that changes something is one transaction, with the events that tell of it.

mod categories;
mod images;
mod inventory;
mod products;
mod reservations;

pub use products::Details;
pub use reservations::{OrderEvent, Reservation};

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use shop_core::{Currency, Fault, RequestKey, World};
use shop_db::Pool;
use shop_db::idempotency::Request;
use shop_messaging::Outbox;
use shop_proto::events::{Event, InventoryChanged};
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{domain::stock::Inventory, error::Error, store::images::Images};

/// The catalog's use cases and what they work with.
pub struct Catalog {
    /// The database.
    pub pool: Pool,
    /// Uploaded pictures.
    pub images: Images,
    /// Where events are written.
    pub outbox: Outbox,
    /// Time, ids and randomness.
    pub world: Arc<dyn World>,
    /// The Shop's one currency.
    pub currency: Currency,
    /// How long stock is set aside for an order before it is asked after.
    pub reservation: Duration,
    /// Pictures are decoded one at a time: each may take a good part of the container's memory.
    pub decoding: Arc<Semaphore>,
}

impl Catalog {
    /// Keeps the answer to a request that creates, or gives back what it was answered before.
    async fn take(
        &self,
        tx: &mut PgConnection,
        user: Uuid,
        route: &'static str,
        key: Option<&RequestKey>,
        answer: &str,
    ) -> Result<Option<String>, Error> {
        let Some(key) = key else { return Ok(None) };
        Ok(Request { user, route, key }.take(tx, answer).await?)
    }

    fn now(&self) -> Timestamp {
        shop_db::now(&*self.world)
    }

    async fn push<E: Event>(&self, tx: &mut PgConnection, event: &E) -> sqlx::Result<()> {
        self.outbox.push(tx, event, &*self.world).await
    }

    async fn push_inventory(&self, tx: &mut PgConnection, inventory: &Inventory) -> sqlx::Result<()> {
        let event = InventoryChanged {
            product_id: inventory.product_id.to_string(),
            stock: inventory.stock,
            reserved: inventory.reserved,
            available: inventory.available(),
        };
        self.push(tx, &event).await
    }
}

/// An answer as it is sent and kept.
fn written(answer: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(answer).map_err(Fault::internal)
}
