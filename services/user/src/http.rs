//! The routes, as the contract has them.

mod address;
mod auth;
mod bodies;
mod users;

use std::sync::Arc;

use axum::{Extension, extract::State, response::IntoResponse};
use http::header;
use shop_auth::Verifier;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::Accounts;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    accounts: Arc<Accounts>,
    verifier: Arc<Verifier>,
    trusted_hops: usize,
}

/// All routes of the service.
pub(crate) fn router(accounts: Arc<Accounts>, verifier: Arc<Verifier>, trusted_hops: usize) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::request_verification))
        .routes(routes!(auth::verify))
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::forgot_password))
        .routes(routes!(auth::reset_password))
        .routes(routes!(users::me))
        .routes(routes!(users::change_password))
        .routes(routes!(users::apply_seller))
        .routes(routes!(users::list))
        .routes(routes!(users::promote))
        .routes(routes!(keys))
        .layer(Extension(Arc::clone(&verifier)))
        .with_state(Api { accounts, verifier, trusted_hops })
}

/// The public keys that verify access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth", responses((status = 200, description = "The keys", body = Object)))]
async fn keys(State(api): State<Api>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, api.verifier.key_set().to_string())
}
