//! The cart service: what a buyer means to buy, at the catalog's prices, until it becomes one order.
//!
//! ```text
//! http   -> app -> store (Redis: items, checkout attempt)      events (product.*, inventory.changed) -> store (catalog copy)
//!               -> grpc (catalog: prices; order: CreateOrder)
//! ```
//!
//! There is no database: a cart holds product ids and quantities, everything else comes from the catalog. Exactly one order
//! a checkout is the work of [`app`]'s attempts and of the order service, which answers one id with one order.

mod app;
mod config;
mod domain;
mod error;
mod events;
mod grpc;
mod http;
mod store;

use std::sync::Arc;

use anyhow::Context as _;
use shop_auth::Verifier;
use shop_messaging::{Consumer, consume, declare};
use shop_server::{Edge, Host, Service, reach};

pub use config::Config;

use crate::{
    app::Carts,
    events::CatalogEvents,
    grpc::{Catalog, Orders},
    store::Store,
};

/// The service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "cart";
    type Config = Config;

    /// Redis has no schema; what there is to do is the broker's.
    async fn migrate(config: Config, _: &Host) -> anyhow::Result<()> {
        // An authority that cannot be read is noticed here.
        let store = Store::connect(&config.redis).context("cannot connect to redis")?;
        reach("redis", || store.ping()).await?;
        reach("rabbitmq", || declare(&config.amqp, Self::NAME)).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let verifier = Arc::new(Verifier::from_config(&config.auth)?);
        let store = Store::connect(&config.redis)?;
        let ping = store.clone();
        host.health.require("redis", move || {
            let store = ping.clone();
            async move { store.ping().await }
        });
        let declared = host.health.gate("rabbitmq");
        let consumer = Consumer {
            service: Self::NAME,
            amqp: config.amqp,
            handler: CatalogEvents { store: store.clone() },
            on_ready: Box::new(move || declared.pass()),
        };
        host.spawn(consume(consumer, host.metrics.clone(), host.shutdown.clone()));

        let mesh = host.mesh(Self::NAME);
        let catalog = mesh.connect("product", &config.catalog)?;
        let orders = mesh.connect("order", &config.orders)?;
        host.meet("catalog", &catalog);
        host.meet("orders", &orders);
        let carts = Carts {
            store,
            catalog: Catalog::new(catalog),
            orders: Orders::new(orders),
            world: Arc::clone(&host.world),
        };
        Ok(Edge { http: http::router(carts, config.currency, verifier), grpc: None })
    }
}
