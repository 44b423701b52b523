//! The HTTP edge: one way in (extractors that refuse bad input with a problem) and one way out (problem documents).

mod admin;
mod admit;
mod connection;
mod document;
mod extract;
mod idempotency;
mod leftover;
mod problem;
pub mod rules;
mod trace;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    response::{IntoResponse as _, Response},
};
use shop_core::{Fault, Kind};
use shop_mesh::Load;
use shop_telemetry::metrics::Metrics;
use tower::Layer as _;
use tower_http::{
    catch_panic::CatchPanicLayer,
    normalize_path::{NormalizePath, NormalizePathLayer},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::Limits;

pub(crate) use admin::admin;
pub(crate) use connection::serve;
pub use extract::{Id, MaybeUser, Params, User, Valid, field_errors, parse};
pub use idempotency::{Created, IdempotencyKey, Keyed, request_key};
pub use problem::{Problem, ProblemBody};

/// The largest JSON body.
const JSON_LIMIT: usize = 64 * 1024;

/// Wraps a service's routes with everything every route has.
pub(crate) fn public(routes: OpenApiRouter, limits: Limits, load: Load, metrics: &Metrics) -> (Router, OpenApi) {
    let (router, mut openapi) = routes.split_for_parts();
    document::add_common_answers(&mut openapi);
    let gate = admit::Gate::new(load, limits, &openapi);
    let trace = trace::HttpTrace::new(metrics);
    let router = router
        .fallback(|| async { Problem::from(Fault::not_found("This path")) })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn_with_state(gate, admit::admit))
        .layer(axum::middleware::from_fn_with_state(trace, trace::trace));
    (router, openapi)
}

/// Routes answer with and without a trailing slash, without a redirect (a redirect loses a POST's body).
pub(crate) fn without_trailing_slash(router: Router) -> NormalizePath<Router> {
    NormalizePathLayer::trim_trailing_slash().layer(router)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is CatchPanicLayer's")]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned());
    Problem::from(Fault::new(Kind::Internal, "Something went wrong on our side").caused_by(text)).into_response()
}
