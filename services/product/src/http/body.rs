//! A product comes as JSON, or as a multipart form with a picture. A form is put together as the JSON it stands for, so that
//! one set of names and rules serves both.

use axum::{
    extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};
use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shop_core::{Fault, FieldError, Kind, RequestKey};
use shop_server::http::{Keyed, Problem, parse, request_key};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use std::time::Duration;

/// The largest form, picture included.
const FORM_LIMIT: usize = 8 * 1024 * 1024;
/// The largest field that is not the picture.
const FIELD_LIMIT: usize = 64 * 1024;
/// A turn to upload does not last for ever.
const UPLOAD_TIME: Duration = Duration::from_mins(1);
/// Whoever waits for a turn takes a place from those who only want to look at something.
const WAIT: Duration = Duration::from_secs(5);

/// A checked body and the picture beside it.
pub struct Body<'a, T> {
    /// What the fields say.
    pub fields: T,
    /// The picture as it was uploaded.
    pub image: Option<Vec<u8>>,
    /// The request's idempotency key. Of a form counts what is in it: its boundary differs each time it is sent.
    pub key: Option<RequestKey>,
    /// Of a form, to be kept until it was worked on: whatever is done with the picture, few are in memory.
    pub turn: Option<SemaphorePermit<'a>>,
}

/// Reads JSON or a form.
pub async fn read<T>(request: Request, uploads: &Semaphore) -> Result<Body<'_, T>, Problem>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    if !is_form(&request) {
        let Keyed { body, key } = Keyed::<T>::from_request(request, &()).await?;
        return Ok(Body { fields: body, image: None, key, turn: None });
    }
    let headers = request.headers().clone();
    let turn = timeout(WAIT, uploads.acquire()).await.map_err(|_| Fault::unavailable("A turn to upload"))?;
    let turn = turn.map_err(Fault::internal)?;
    let form = timeout(UPLOAD_TIME, read_form(request));
    let (fields, image) = form.await.map_err(|_| Fault::invalid("The upload took more than a minute"))??;
    let json = serde_json::to_vec(&fields).map_err(Fault::internal)?;
    let key = request_key(&headers, &[&json, image.as_deref().unwrap_or_default()])?;
    Ok(Body { fields: parse(&json)?, image, key, turn: Some(turn) })
}

fn is_form(request: &Request) -> bool {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

async fn read_form(mut request: Request) -> Result<(Map<String, Value>, Option<Vec<u8>>), Fault> {
    DefaultBodyLimit::max(FORM_LIMIT).apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| Fault::invalid("The form has no boundary; let your HTTP client write its Content-Type"))?;
    let (mut fields, mut image) = (Map::new(), None);
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        let bytes = field.bytes().await.map_err(unreadable)?;
        if name == "image" {
            image = Some(Vec::from(bytes)).filter(|bytes| !bytes.is_empty());
            continue;
        }
        let text = text(&name, &bytes)?;
        if let Some(value) = value(&name, text)? {
            fields.insert(name, value);
        }
    }
    Ok((fields, image))
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    if bytes.len() > FIELD_LIMIT {
        let message = "is longer than 64 KiB".to_owned();
        let field = FieldError { field: name.to_owned(), rule: "length".to_owned(), message };
        return Err(Fault::new(Kind::TooLarge, "A field of the form is over its limit").with_field(field));
    }
    str::from_utf8(bytes).map_err(|_| Fault::invalid_field(name, "encoding", "must be UTF-8"))
}

/// The JSON that the text of a form's field stands for; a number or list that was left empty was not sent.
fn value(name: &str, text: &str) -> Result<Option<Value>, Fault> {
    match name {
        "price" | "categoryIds" | "category_ids" | "attributes" if text.trim().is_empty() => Ok(None),
        "price" => {
            let number = text.trim().parse().ok().and_then(serde_json::Number::from_f64);
            let number =
                number.ok_or_else(|| Fault::invalid_field(name, "type", "must be a number, for instance 19.99"))?;
            Ok(Some(Value::Number(number)))
        }
        // Clients of the original may send one category's id as it is.
        "categoryIds" | "category_ids" if uuid::Uuid::parse_str(text.trim()).is_ok() => {
            Ok(Some(vec![text.trim()].into()))
        }
        "categoryIds" | "category_ids" | "attributes" => serde_json::from_str(text).map(Some).map_err(|_| {
            Fault::invalid_field(name, "json", "must be JSON, for instance [\"<id>\"] or {\"color\":\"red\"}")
        }),
        _ => Ok(Some(text.into())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes by value")]
fn unreadable(error: MultipartError) -> Fault {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Fault::new(Kind::TooLarge, "The form is over its limit of 8 MiB")
    } else {
        Fault::invalid("The form is not complete multipart/form-data").caused_by(error.body_text())
    }
}
