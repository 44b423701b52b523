//! The page and the document. They are not part of the API they describe, so they are no operations of it.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::header;
use shop_core::Fault;
use shop_server::http::Problem;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

const PAGE: &str = "/docs";
const DOCUMENT: &str = "/swagger-json";

#[derive(Clone)]
struct Ui {
    page: Bytes,
    config: Arc<Config<'static>>,
    document: watch::Receiver<Bytes>,
}

/// The routes. `/docs/` is `/docs` by `shop-server`'s rule for trailing slashes.
pub fn router(document: watch::Receiver<Bytes>) -> anyhow::Result<OpenApiRouter> {
    // Swagger UI asks a validator on the internet about the document unless told not to.
    let config = Arc::new(Config::from(DOCUMENT).validator_url("none").use_base_layout());
    let ui = Ui { page: page(&config)?, config, document };
    Ok(OpenApiRouter::new()
        .route(PAGE, get(show_page))
        .route("/docs/{*file}", get(show_file))
        .route(DOCUMENT, get(show_document))
        .with_state(ui))
}

/// Swagger UI's page names its files relative to itself; at `/docs` without a slash that would be the root.
fn page(config: &Arc<Config<'static>>) -> anyhow::Result<Bytes> {
    let served = utoipa_swagger_ui::serve("index.html", Arc::clone(config));
    let served = served.map_err(|error| anyhow::anyhow!("Swagger UI's page: {error}"))?;
    let text = served.map(|file| file.bytes.into_owned()).unwrap_or_default();
    let text = String::from_utf8(text)?;
    let (head, rest) = text
        .split_once("<head>")
        .ok_or_else(|| anyhow::anyhow!("Swagger UI's page has no <head> to put a base into"))?;
    let rest = rest.replacen("<title>Swagger UI</title>", "<title>Shopkeeper API</title>", 1);
    Ok(format!("{head}<head>\n    <base href=\"{PAGE}/\">{rest}").into())
}

async fn show_page(State(ui): State<Ui>) -> Html<Bytes> {
    Html(ui.page)
}

async fn show_file(State(ui): State<Ui>, file: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(file) = file.map_err(|_| Fault::not_found("This file"))?;
    if file == "index.html" {
        return Ok(Html(ui.page).into_response());
    }
    let served = utoipa_swagger_ui::serve(&file, ui.config);
    let served =
        served.map_err(|error| Fault::internal(error.to_string()))?.ok_or_else(|| Fault::not_found("This file"))?;
    Ok(([(header::CONTENT_TYPE, served.content_type)], served.bytes.into_owned()).into_response())
}

async fn show_document(State(ui): State<Ui>) -> Response {
    let document = ui.document.borrow().clone();
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
