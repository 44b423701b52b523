//! The product service: the catalog, its pictures, its stock, and the reservations that keep stock from being sold twice.
//!
//! ```text
//!   HTTP   (sellers, buyers) ─┐                        ┌─> store ──> PostgreSQL, and S3 for pictures
//!   gRPC   (cart, order)     ─┼──> app (use cases) ────┤
//!   events (order.*)         ─┤      │                 └─> outbox ─> RabbitMQ: product.*, inventory.*
//!   expiry (time)            ─┘      └─> domain (rules)
//! ```
//!
//! Stock counts what is on hand and not sold; `reserved` is the part of it that is set aside. An order reserves by gRPC and
//! commits or gives back by events, so every way an order can end moves its units exactly once. Time moves none: it only has
//! order asked what became of an order.

mod app;
pub mod config;
pub mod domain;
mod error;
mod events;
mod expiry;
mod grpc;
mod http;
mod store;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use shop_auth::Verifier;
use shop_db::idempotency;
use shop_messaging::{Consumer, Outbox, consume, declare, relay};
use shop_server::{Edge, Host, Service, reach};
use sqlx::migrate::Migrator;
use tokio::sync::Semaphore;

use crate::{app::Catalog, config::Config, store::images::Images};

/// The product service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "product";
    type Config = Config;

    async fn migrate(config: Config, _: &Host) -> anyhow::Result<()> {
        reach("rabbitmq", || declare(&config.amqp, Self::NAME)).await?;
        shop_db::migrate(&config.postgres.database, &migrations()).await?;
        keep_currency(&config).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let verifier = Arc::new(Verifier::from_config(&config.auth)?);
        let pool = shop_db::Pool::new(&config.postgres, Self::NAME)?;
        shop_db::count_connections(&pool, &host.metrics);
        let catalog = Arc::new(Catalog {
            pool: pool.clone(),
            images: Images::open(pool.clone(), config.images.as_ref())?,
            outbox: Outbox::default(),
            world: Arc::clone(&host.world),
            currency: config.currency,
            reservation: config.reservation.0,
            decoding: Arc::new(Semaphore::new(1)),
        });
        spawn_workers(&config, &catalog, host);
        host.health.require("postgres", move || shop_db::ping(pool.clone()));
        let grpc = grpc::CatalogGrpc { catalog: Arc::clone(&catalog), verifier: Arc::clone(&verifier) };
        Ok(Edge { http: http::router(catalog, verifier), grpc: Some(grpc.methods()) })
    }
}

/// Everything the service stores.
#[must_use]
pub fn migrations() -> Migrator {
    idempotency::migrations_with(&shop_messaging::migrations_with(&sqlx::migrate!()))
}

/// A Shop that was made anew may have another currency than the one whose prices it takes up.
async fn keep_currency(config: &Config) -> anyhow::Result<()> {
    let pool = shop_db::Pool::new(&config.postgres, App::NAME)?;
    let wanted = config.currency;
    let kept = store::currency::keep(&pool, wanted).await.context("the currency of the prices cannot be read")?;
    ensure!(
        kept == wanted.code(),
        "the prices in the database are amounts of {kept}, and the Shop's currency is {wanted}: make it anew with {kept}, or \
         under another name"
    );
    Ok(())
}

fn spawn_workers(config: &Config, catalog: &Arc<Catalog>, host: &Host) {
    let consuming = host.health.gate("rabbitmq");
    let consumer = Consumer {
        service: App::NAME,
        amqp: config.amqp.clone(),
        handler: events::OrderEvents(Arc::clone(catalog)),
        on_ready: Box::new(move || consuming.pass()),
    };
    host.spawn(consume(consumer, host.metrics.clone(), host.shutdown.clone()));
    host.spawn(relay(
        App::NAME,
        config.amqp.clone(),
        catalog.pool.clone(),
        catalog.outbox.clone(),
        host.metrics.clone(),
        host.shutdown.clone(),
    ));
    host.spawn(expiry::run(Arc::clone(catalog), host.shutdown.clone()));
}
