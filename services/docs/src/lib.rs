//! The docs service: what all services can do, in one OpenAPI document, and a page to read and try it.
//!
//! ```text
//! app (asks each service for /openapi.json, again and again) -> domain (merge) -> app (the merged text) -> http
//! ```
//!
//! Nothing is written by hand: each service's document is generated from its handlers, and this one from theirs.

mod app;
mod config;
mod domain;
mod error;
mod http;

use shop_server::{Edge, Host, Service};

pub use config::Config;

use crate::app::Docs;

/// The service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "docs";
    type Config = Config;

    /// Nothing is stored.
    async fn migrate(_: Config, _: &Host) -> anyhow::Result<()> {
        Ok(())
    }

    /// Ready at once: the document says itself which services are missing from it.
    async fn build(config: Config, host: &Host) -> anyhow::Result<Edge> {
        let docs = Docs::new(config.upstreams.0)?;
        let document = docs.document();
        let shutdown = host.shutdown.clone();
        host.spawn(async move {
            shutdown.run_until_cancelled(docs.follow()).await;
        });
        Ok(Edge { http: http::router(document)?, grpc: None })
    }
}
