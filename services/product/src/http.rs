//! The public API: routes, documents, rules for what comes in.

mod body;
mod categories;
mod inventory;
mod list;
mod products;
mod rules;
mod uploads;

use std::sync::Arc;

use axum::{Extension, extract::FromRef};
use serde::Serialize;
use shop_auth::Verifier;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::Catalog;

/// Uploads that are worked on at once: each may be 8 MiB in memory.
const UPLOADS_AT_ONCE: usize = 2;

/// What handlers work with.
#[derive(Clone, FromRef)]
struct Shared {
    catalog: Arc<Catalog>,
    uploads: Arc<Semaphore>,
}

/// All routes.
pub fn router(catalog: Arc<Catalog>, verifier: Arc<Verifier>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(products::create, list::list))
        .routes(routes!(products::read, products::update, products::delete))
        .routes(routes!(categories::create, categories::list))
        .routes(routes!(inventory::read, inventory::set))
        .routes(routes!(uploads::read))
        .layer(Extension(verifier))
        .with_state(Shared { catalog, uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)) })
}

/// One sentence about what was done.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    message: &'static str,
}
