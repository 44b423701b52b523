//! Parse at the edge: extractors that give a handler checked values, and the client a problem that says what to change.

use std::{error::Error as _, fmt::Display, sync::Arc};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Query, RawPathParams, Request,
        rejection::{BytesRejection, QueryRejection},
    },
};
use garde::Validate;
use http::{header, request::Parts};
use serde::de::DeserializeOwned;
use shop_auth::{Caller, Verifier};
use shop_core::{Fault, FieldError, Kind};
use tokio::time::timeout;
use uuid::Uuid;

use super::Problem;
use crate::Limits;

/// A JSON body that parsed and keeps every rule of `T`.
#[derive(Debug)]
pub struct Valid<T>(pub T);

impl<S, T> FromRequest<S> for Valid<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(parse(&json(request, state).await?)?))
    }
}

/// The JSON text of a body that comes in time.
pub(super) async fn json<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Fault> {
    require_json(request.headers())?;
    let patience = request.extensions().get::<Limits>().copied().unwrap_or_default().body;
    let body = timeout(patience, Bytes::from_request(request, state)).await;
    body.map_err(|_| Fault::invalid("The body took too long"))?.map_err(|error| unreadable(&error))
}

/// Reads and checks a JSON text as [`Valid`] does, for JSON that a route puts together from something else.
pub fn parse<T: DeserializeOwned + Validate<Context: Default>>(json: &[u8]) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| malformed("body", &error))?;
    json.end().map_err(|error| Fault::invalid(format!("The body goes on after the JSON value: {error}")))?;
    check(&value)?;
    Ok(value)
}

/// Query parameters that parsed and keep every rule of `T`.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::try_from_uri(&parts.uri).map_err(|error| unreadable_query(&error))?;
        check(&value)?;
        Ok(Self(value))
    }
}

/// The id in a path such as `/orders/{id}`.
#[derive(Debug)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Fault::invalid(format!("The path cannot be read: {}", error.body_text())))?;
        let (name, text) = path.iter().next().ok_or_else(|| Fault::internal("the route has no parameter"))?;
        Ok(Self(Uuid::parse_str(text).map_err(|_| Fault::invalid_field(name, "uuid", "must be a UUID"))?))
    }
}

/// The authenticated caller; a request without a good token is refused.
#[derive(Debug)]
pub struct User(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(caller(parts)?))
    }
}

/// The caller where a route also serves strangers. A token that is there has to be good.
#[derive(Debug)]
pub struct MaybeUser(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(Some(caller(parts)?)));
        }
        Ok(Self(None))
    }
}

fn caller(parts: &Parts) -> Result<Caller, Fault> {
    let verifier = parts
        .extensions
        .get::<Arc<Verifier>>()
        .ok_or_else(|| Fault::internal("the router has no Extension(Arc<Verifier>) layer"))?;
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    verifier.verify_header(authorization)
}

fn require_json(headers: &http::HeaderMap) -> Result<(), Fault> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Fault::new(Kind::UnsupportedMedia, "Send the body as Content-Type: application/json"))
    }
}

fn unreadable(error: &BytesRejection) -> Fault {
    if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
        Fault::new(Kind::TooLarge, "The body is over its limit of 64 KiB")
    } else {
        Fault::invalid("The body ended early")
    }
}

fn unreadable_query(error: &QueryRejection) -> Fault {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            return malformed("query", error);
        }
        source = error.source();
    }
    Fault::invalid(format!("The query cannot be read: {}", error.body_text()))
}

/// `place` is where the value was read from, for what has no field.
fn malformed<E: Display>(place: &str, error: &serde_path_to_error::Error<E>) -> Fault {
    let path = error.path().to_string();
    let message = error.inner().to_string();
    // serde_json ends its sentences with a position that means nothing to somebody who sent one field wrong.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    for (start, rule, told) in [
        ("missing field `", "required", "must be there"),
        ("duplicate field `", "duplicate", "must be there once only"),
    ] {
        if let Some(name) = message.strip_prefix(start).and_then(|rest| rest.strip_suffix('`')) {
            return Fault::invalid_field(&within(&path, name), rule, told);
        }
    }
    if path == "." {
        return Fault::invalid(format!("The {place} is not what this route reads: {message}"));
    }
    Fault::invalid(format!("{path}: {message}")).with_field(FieldError {
        field: path,
        rule: "type".to_owned(),
        message,
    })
}

/// The field `name` of the object at `path`.
fn within(path: &str, name: &str) -> String {
    let name = camel_case(name);
    if path == "." { name } else { format!("{path}.{name}") }
}

fn check<T: Validate<Context: Default>>(value: &T) -> Result<(), Fault> {
    value.validate().map_err(|report| {
        let fields = field_errors(&report);
        let detail = fields.iter().map(|field| format!("{}: {}", field.field, field.message)).collect::<Vec<_>>();
        Fault::invalid(detail.join("; ")).with_fields(fields)
    })
}

/// The broken rules of a validation report. A message such as `uuid: must be a UUID` names its rule before the colon.
#[must_use]
pub fn field_errors(report: &garde::Report) -> Vec<FieldError> {
    report
        .iter()
        .map(|(path, error)| {
            let text = error.message();
            let (rule, message) = match text.split_once(": ") {
                Some((rule, message)) if rule.chars().all(|c| c.is_ascii_lowercase() || c == '_') => (rule, message),
                _ => (rule_of(text), text),
            };
            FieldError { field: camel_case(&path.to_string()), rule: rule.to_owned(), message: message.to_owned() }
        })
        .collect()
}

/// The rule behind one of garde's own messages.
fn rule_of(message: &str) -> &'static str {
    let rules = [("length", "length"), ("lower than", "range"), ("greater than", "range"), ("not set", "required")];
    rules.iter().find(|(part, _)| message.contains(part)).map_or("invalid", |(_, rule)| rule)
}

/// Rust names a field `full_name`; the documents say `fullName`.
fn camel_case(path: &str) -> String {
    let mut parts = path.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(chars.as_str());
    }
    name
}
