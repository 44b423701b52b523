//! The user service: accounts, sessions and roles in MongoDB, rate limits in Redis, access tokens for everybody.
//!
//! A request comes in through [`mod@http`], is a use case of [`app`], decided by [`domain`] and kept by [`store`]. Whatever
//! must happen once is an insert under a unique key: the one thing that MongoDB and the stand-in of the local cluster both
//! get right under concurrency. So nothing here counts in a document, and no use case needs a transaction. Mails wait in
//! MongoDB too, until the [`outbox`] has sent them.
//!
//! Deliberately absent: RabbitMQ. Nobody needs to hear of users; tokens say who they are.

pub mod config;
pub mod domain;

mod app;
mod bson_date;
mod error;
mod hashing;
mod http;
mod limits;
pub mod mail;
mod metrics;
mod migrate;
mod outbox;
pub mod store;
mod sweep;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use shop_auth::{Signer, Verifier};
use shop_server::{Edge, Host, Service, reach};
use tokio::sync::Notify;

use crate::{
    app::Accounts, config::Config, hashing::Hashing, limits::Limits, mail::Mailer, metrics::UserMetrics, store::Store,
};

/// The user service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "user";
    type Config = Config;

    async fn migrate(config: Config, host: &Host) -> anyhow::Result<()> {
        let limits = Limits::new(&config.redis, config.rate_limits, Arc::clone(&host.world));
        // An authority that cannot be read is noticed here.
        let limits = limits.context("cannot connect to redis")?;
        reach("redis", || limits.ping()).await?;
        migrate::make_login(&config.mongodb, &*host.world).await?;
        let store = Store::open(&config.mongodb.url).await?;
        reach("mongodb", || store.ping()).await?;
        migrate::migrate(&store, config.admin_user, &*host.world).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let mailer = mail::mailer(config.mail.clone())?;
        wire(config, host, mailer).await
    }
}

/// The service, with its mail going out through `mailer`.
pub async fn wire(config: Config, host: &Host, mailer: Arc<dyn Mailer>) -> anyhow::Result<Edge> {
    let public_url = config.public_url.trim_end_matches('/').to_owned();
    ensure!(
        public_url.starts_with("http://") || public_url.starts_with("https://"),
        "SHOP_PUBLIC_URL must begin with http:// or https://, for instance https://shop.example.com"
    );
    let store = Store::open(&config.mongodb.url).await?;
    let ping = store.clone();
    host.health.require("mongodb", move || {
        let store = ping.clone();
        async move { store.ping().await }
    });
    let metrics = UserMetrics::register(&host.metrics);
    let accounts = Arc::new(Accounts {
        store: store.clone(),
        hashing: Hashing::new(metrics.clone()),
        limits: Limits::new(&config.redis, config.rate_limits, Arc::clone(&host.world))?,
        mailer,
        mail_waits: Notify::new(),
        signer: Signer::follow(&config.signing.folder, &config.auth)?,
        public_url,
        metrics: metrics.clone(),
        host: host.clone(),
    });
    host.spawn(sweep::sweep(store, Arc::clone(&host.world), metrics, host.shutdown.clone()));
    host.spawn(outbox::run(Arc::clone(&accounts), host.shutdown.clone()));
    let verifier = Arc::new(Verifier::from_config(&config.auth)?);
    Ok(Edge { http: http::router(accounts, verifier, config.trusted_proxy_hops), grpc: None })
}
