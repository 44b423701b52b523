//! The user service: accounts, sessions and roles in MongoDB, rate limits in Redis, access tokens for everybody.
//!
//! A request comes in through [`mod@http`], is a use case of [`app`], decided by [`domain`] and kept by [`store`]. Whatever
//! must happen once is an insert under a unique key: the one thing that MongoDB and the stand-in of the local cluster both
//! get right under concurrency. So nothing here counts in a document, and no use case needs a transaction.
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
mod migrate;
pub mod store;
mod sweep;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use shop_auth::{Signer, Verifier};
use shop_server::{Edge, Host, Service};

use crate::{
    app::Accounts,
    config::{Config, MailKind},
    hashing::Hashing,
    limits::Limits,
    mail::{LogMailer, Mailer},
    store::Store,
};

/// The user service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "user";
    type Config = Config;

    async fn migrate(config: Config, host: &Host) -> anyhow::Result<()> {
        migrate::migrate(&Store::open(&config.mongodb).await?, config.admin_user, &*host.world).await
    }

    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let mailer: Arc<dyn Mailer> = match config.mail.kind {
            MailKind::Log => Arc::new(LogMailer::new(std::io::stdout())),
        };
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
    let store = Store::open(&config.mongodb).await?;
    let ping = store.clone();
    host.health.require("mongodb", move || {
        let store = ping.clone();
        async move { store.ping().await }
    });
    host.spawn(sweep::sweep(store.clone(), Arc::clone(&host.world), host.shutdown.clone()));

    let accounts = Accounts {
        store,
        hashing: Hashing::default(),
        limits: Limits::new(&config.redis, config.rate_limits, Arc::clone(&host.world))?,
        mailer,
        signer: signer(&config)?,
        public_url,
        host: host.clone(),
    };
    let verifier = Arc::new(Verifier::from_config(&config.auth)?);
    let jwks = std::fs::read_to_string(&config.auth.jwks_file).context("the public keys cannot be read")?;
    let http = http::router(Arc::new(accounts), jwks, config.trusted_proxy_hops).layer(axum::Extension(verifier));
    Ok(Edge { http, grpc: None })
}

fn signer(config: &Config) -> anyhow::Result<Signer> {
    let file = &config.signing.key_file;
    let pem = std::fs::read(file).with_context(|| format!("the signing key cannot be read from {}", file.display()))?;
    Ok(Signer::new(&pem, &config.signing.kid, &config.auth.issuer, &config.auth.audience)?)
}
