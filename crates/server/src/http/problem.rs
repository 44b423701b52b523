//! The one mapping from [`Fault`] to HTTP: problem documents (RFC 9457).

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use shop_core::{Fault, Kind};
use utoipa::ToSchema;

/// The media type of every error answer.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// An error answer. Every handler returns `Result<_, Problem>`, and `?` turns a service's own errors into one.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    fault: Fault,
}

/// The body of every error answer, `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// A URN that names the case.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong and what to change.
    pub detail: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// The trace to look for in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// `detail` again, where clients of the original look for it.
    pub error: String,
}

/// One field at fault.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// Path of the field.
    pub field: String,
    /// The rule it breaks.
    pub rule: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// The fault behind an answer, for the log; travels in the response's extensions so that the body cannot leak it.
#[derive(Clone)]
pub(super) struct Logged(pub Arc<Fault>);

impl Problem {
    pub(super) fn method_not_allowed() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            fault: Fault::invalid("This path does not have this method; see the Allow header"),
        }
    }
}

impl<E: Into<Fault>> From<E> for Problem {
    fn from(error: E) -> Self {
        let fault = error.into();
        Self { status: status(fault.kind()), fault }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, fault } = self;
        let body = ProblemBody {
            kind: format!("urn:shopkeeper:problem:{}", fault.code()),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: fault.public().to_owned(),
            errors: fault.fields().iter().map(ProblemField::from).collect(),
            trace_id: shop_telemetry::trace_id(),
            error: fault.public().to_owned(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Kind::TooMany { retry_after } | Kind::Unavailable { retry_after } = fault.kind() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
        }
        response.extensions_mut().insert(Logged(Arc::new(fault)));
        response
    }
}

impl From<&shop_core::FieldError> for ProblemField {
    fn from(error: &shop_core::FieldError) -> Self {
        Self { field: error.field.clone(), rule: error.rule.clone(), message: error.message.clone() }
    }
}

/// `Retry-After` counts whole seconds; zero would mean at once.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
