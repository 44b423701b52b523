//! The header `Idempotency-Key`: read here, documented here; what it does is up to the owner of what is created.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use garde::Validate;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use shop_core::{Fault, RequestKey};
use utoipa::IntoParams;

use super::{
    Problem,
    extract::{json, parse},
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The parameter of every route that creates; for its document only, [`Keyed`] and [`request_key`] read it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes a parameter")]
pub struct IdempotencyKey {
    /// Chosen by the client, the same on every retry of one request. Within 24 hours a request with the same key and body
    /// gets the same answer and creates nothing; the same key with another body is answered by 409
    /// `idempotency_key_reused`, and by 409 `idempotency_key_in_progress` when the first takes too long to wait for.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$", required = false)]
    idempotency_key: String,
}

/// A JSON body as [`super::Valid`] reads it, and the key it came with.
#[derive(Debug)]
pub struct Keyed<T> {
    /// The body.
    pub body: T,
    /// Its key, if the client sent one.
    pub key: Option<RequestKey>,
}

impl<S, T> FromRequest<S> for Keyed<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let body = json(request, state).await?;
        Ok(Self { body: parse(&body)?, key: request_key(&headers, &[&body])? })
    }
}

/// The key among `headers` for a body of these parts.
pub fn request_key(headers: &HeaderMap, body: &[&[u8]]) -> Result<Option<RequestKey>, Fault> {
    let mut keys = headers.get_all(HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Fault::invalid_field("Idempotency-Key", "once", "must be sent once"));
    }
    let mut hash = Sha256::new();
    for part in body {
        // Where one part ends and the next begins counts too.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    // What is not ASCII is refused like what is not visible.
    RequestKey::new(key.to_str().unwrap_or_default(), hash.finalize().into()).map(Some)
}

/// 201 with a JSON text as it was kept.
#[derive(Debug)]
pub struct Created(pub String);

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
