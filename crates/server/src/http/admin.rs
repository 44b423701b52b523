//! Probes, metrics and the OpenAPI document, on a port that is never routed from outside.

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use http::header;
use utoipa::openapi::OpenApi;

use crate::{Host, http::Problem};
use shop_core::Fault;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn admin(host: &Host, openapi: &OpenApi) -> Result<Router, serde_json::Error> {
    let document = openapi.to_json()?;
    let (health, metrics) = (host.health.clone(), host.metrics.clone());
    Ok(Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route(
            "/readyz",
            get(move || async move {
                let missing = health.missing().await;
                let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, if missing.is_empty() { "ready\n".to_owned() } else { missing.join("\n") + "\n" })
            }),
        )
        .route(
            "/metrics",
            get(move || async move {
                let text = metrics.encode().map_err(Fault::internal)?;
                Ok::<_, Problem>(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
            }),
        )
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], document) })))
}
