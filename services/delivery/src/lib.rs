//! Delivery: ships a paid order once, says when it is at the door, and calls it back when the order is canceled.
//!
//! ```text
//! order.paid     -> events -> app -> deliveries row (pending)
//! worker (shop-db) -> app -> domain (which step?) -> carrier -> domain (what now?) -> delivery.shipped | delivered | failed
//! order.canceled -> events -> app -> domain: canceled, or the parcel is called back by the worker
//! ```
//!
//! The carrier is called outside of any transaction, by a key that stays the same however often the call is repeated. There
//! is no HTTP API: the order tells its buyer where the parcel is.

mod app;
pub mod config;
mod domain;
mod events;
pub mod provider;
mod store;

use std::sync::Arc;

use shop_db::Pool;
use shop_messaging::{Consumer, Outbox, declare};
use shop_server::{Edge, Host, Service, reach};
use sqlx::migrate::Migrator;

use crate::{
    app::Deliveries,
    config::Config,
    provider::{DeliveryProvider, MockProvider},
};

/// The delivery service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "delivery";
    type Config = Config;

    async fn migrate(config: Config, _: &Host) -> anyhow::Result<()> {
        reach("rabbitmq", || declare(&config.amqp, Self::NAME)).await?;
        shop_db::migrate(&config.postgres.database, &migrations()).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let pool = shop_db::Pool::new(&config.postgres, Self::NAME)?;
        shop_db::count_connections(&pool, &host.metrics);
        let provider = MockProvider::new(pool.clone(), config.provider.clone());
        Ok(wire(&config, pool, Arc::new(provider), host))
    }
}

/// Messaging's tables and this service's.
#[must_use]
pub fn migrations() -> Migrator {
    shop_messaging::migrations_with(&sqlx::migrate!())
}

/// The service with the carrier of one's choice.
pub fn wire(config: &Config, pool: Pool, provider: Arc<dyn DeliveryProvider>, host: &Host) -> Edge {
    let outbox = Outbox::default();
    let deliveries = Deliveries {
        pool: pool.clone(),
        outbox: outbox.clone(),
        world: Arc::clone(&host.world),
        provider,
        wake: shop_db::Wake::default(),
    };

    let ready = pool.clone();
    host.health.require("postgres", move || shop_db::ping(ready.clone()));
    let consuming = host.health.gate("rabbitmq");

    host.spawn(deliveries.worker(config.provider.patience.0).run(host.shutdown.clone()));
    host.spawn(shop_db::sweep(&store::SERVED, pool.clone(), host.shutdown.clone()));
    host.spawn(shop_messaging::relay(
        App::NAME,
        config.amqp.clone(),
        pool,
        outbox,
        host.metrics.clone(),
        host.shutdown.clone(),
    ));
    let consumer = Consumer {
        service: App::NAME,
        amqp: config.amqp.clone(),
        handler: deliveries,
        on_ready: Box::new(move || consuming.pass()),
    };
    host.spawn(shop_messaging::consume(consumer, host.metrics.clone(), host.shutdown.clone()));
    Edge::default()
}
