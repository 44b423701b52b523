//! Payment: takes the money for an order once, and gives it back when the order is canceled.
//!
//! ```text
//! order.created  -> events -> app -> payments row (pending) -> payment.pending
//! worker (shop-db) -> app -> domain (which step?) -> provider -> domain (what now?) -> payment.succeeded | failed | refunded
//! order.canceled -> events -> app -> domain: canceled, or the money goes back by the worker
//! ```
//!
//! The provider is called outside of any transaction, by a key that stays the same however often the call is repeated. There
//! is no HTTP API: the order tells its buyer how the payment went.

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
    app::Payments,
    config::Config,
    provider::{MockProvider, PaymentProvider},
};

/// The payment service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "payment";
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

/// The service with the provider of one's choice.
pub fn wire(config: &Config, pool: Pool, provider: Arc<dyn PaymentProvider>, host: &Host) -> Edge {
    let outbox = Outbox::default();
    let payments = Payments {
        pool: pool.clone(),
        outbox: outbox.clone(),
        world: Arc::clone(&host.world),
        provider,
        wake: shop_db::Wake::default(),
        currency: config.currency,
    };

    let ready = pool.clone();
    host.health.require("postgres", move || shop_db::ping(ready.clone()));
    let consuming = host.health.gate("rabbitmq");

    let patience = config.provider.latency.0 + config.provider.patience.0;
    host.spawn(payments.worker(patience).run(host.shutdown.clone()));
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
        handler: payments,
        on_ready: Box::new(move || consuming.pass()),
    };
    host.spawn(shop_messaging::consume(consumer, host.metrics.clone(), host.shutdown.clone()));
    Edge::default()
}
