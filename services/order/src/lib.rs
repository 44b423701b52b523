//! The order service: what was bought, by whom, and how far it has come.
//!
//! ```text
//!  cart --gRPC--> grpc ----+                         +--> catalog (reserves stock, prices the lines)
//!  buyer, seller --> http -+--> app --> domain       |
//!  payment, delivery,      |     |      (rules) -----+--> store (PostgreSQL)
//!  catalog --> events -----+     +--> outbox --> relay --> RabbitMQ
//!  the clock --> expiry ---+
//! ```
//!
//! Every change of an order is one transaction: the order's row is locked, [`domain::decide`] says what becomes of it, and
//! the new state, a history row and the events that tell of it are committed together.

pub mod app;
pub mod catalog;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod expiry;
pub mod grpc;
pub mod http;
pub mod metrics;
pub mod store;

use std::sync::Arc;

use app::Orders;
use catalog::Catalog;
use config::Config;
use metrics::OrderMetrics;
use shop_auth::Verifier;
use shop_db::{Pool, idempotency};
use shop_messaging::{Consumer, Outbox, declare};
use shop_server::{Edge, Host, Service, reach};
use sqlx::migrate::Migrator;

/// The order service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "order";
    type Config = Config;

    async fn migrate(config: Config, _: &Host) -> anyhow::Result<()> {
        reach("rabbitmq", || declare(&config.amqp, Self::NAME)).await?;
        shop_db::migrate(&config.postgres.database, &migrations()).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let pool = shop_db::Pool::new(&config.postgres, Self::NAME)?;
        shop_db::count_connections(&pool, &host.metrics);
        require_database(host, &pool);
        let verifier = Arc::new(Verifier::from_config(&config.auth)?);
        let catalog = host.mesh(Self::NAME).connect("product", &config.catalog)?;
        host.meet("catalog", &catalog);
        let orders = Arc::new(Orders {
            pool: pool.clone(),
            outbox: Outbox::default(),
            world: Arc::clone(&host.world),
            catalog: Catalog::new(catalog),
            currency: config.currency,
            unpaid_expiry: config.unpaid_expiry.0,
            metrics: OrderMetrics::register(&host.metrics),
        });
        work_in_background(config, host, pool, &orders);
        Ok(Edge {
            grpc: Some(grpc::methods(Arc::clone(&orders), Arc::clone(&verifier))),
            http: http::router(orders, verifier),
        })
    }
}

/// Everything this service keeps in its database.
#[must_use]
pub fn migrations() -> Migrator {
    idempotency::migrations_with(&shop_messaging::migrations_with(&sqlx::migrate!()))
}

fn require_database(host: &Host, pool: &Pool) {
    let pool = pool.clone();
    host.health.require("postgres", move || shop_db::ping(pool.clone()));
}

fn work_in_background(config: Config, host: &Host, pool: Pool, orders: &Arc<Orders>) {
    let declared = host.health.gate("rabbitmq");
    let consumer = Consumer {
        service: App::NAME,
        amqp: config.amqp.clone(),
        handler: events::Events(Arc::clone(orders)),
        on_ready: Box::new(move || declared.pass()),
    };
    host.spawn(shop_messaging::consume(consumer, host.metrics.clone(), host.shutdown.clone()));
    host.spawn(shop_messaging::relay(
        App::NAME,
        config.amqp,
        pool,
        orders.outbox.clone(),
        host.metrics.clone(),
        host.shutdown.clone(),
    ));
    host.spawn(expiry::run(Arc::clone(orders), host.shutdown.clone()));
}
