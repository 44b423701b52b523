//! `GET /uploads/{key}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::IntoResponse,
};
use shop_core::Fault;
use shop_server::http::{Problem, ProblemBody};

use crate::{app::Catalog, domain::picture::Key};

/// A key is never given to another picture.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// An uploaded picture.
#[utoipa::path(
    get, path = "/uploads/{key}", tag = "uploads", params(("key" = String, Path, max_length = 100)),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/*"),
        (status = 404, description = "Not there", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(catalog): State<Arc<Catalog>>,
    key: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let missing = || Fault::not_found("Picture");
    let Path(key) = key.map_err(|_| missing())?;
    let key = Key::parse(&key).ok_or_else(missing)?;
    let bytes = catalog.picture(&key).await?.ok_or_else(missing)?;
    let headers = [
        (header::CONTENT_TYPE, key.content_type()),
        (header::CACHE_CONTROL, FOR_EVER),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, bytes))
}
