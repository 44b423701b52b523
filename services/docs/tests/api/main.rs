//! The page and the merged document, as a browser gets them.

use std::{net::SocketAddr, sync::Arc};

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use shop_docs::{App, Config};
use shop_server::Host;
use shop_testing::{Running, TestWorld, eventually};
use tokio::{net::TcpListener, task::JoinHandle};

/// A service's admin port.
async fn upstream(at: &str, path: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(at).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let document = json!({ "openapi": "3.1.0", "paths": { path: { "get": { "operationId": "x", "responses": {} } } } });
    let router = Router::new().route("/openapi.json", get(|| async { Json(document) }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (address, server)
}

async fn start(upstreams: String) -> Running {
    let config = Config { upstreams: upstreams.try_into().expect("a list of services") };
    Running::start::<App>(config, Host::new(Arc::new(TestWorld::new(1)))).await
}

async fn document(docs: &Running) -> Value {
    let answer = docs.client.get(docs.url("/swagger-json")).send().await.expect("docs answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

async fn until_available(docs: &Running, expected: Value) -> Value {
    eventually("the missing services are as expected", || async {
        let document = document(docs).await;
        if document["x-unavailable"] == expected { Ok(document) } else { Err(document["x-unavailable"].to_string()) }
    })
    .await
}

#[tokio::test]
async fn the_document_names_services_not_seen_yet_takes_them_in_and_keeps_them_when_they_go() {
    let (user, server) = upstream("127.0.0.1:0", "/api/v1/users/me").await;
    let later = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let cart = later.local_addr().expect("it is bound");
    drop(later);
    let docs = start(format!("user=http://{user},cart=http://{cart}")).await;
    docs.ready().await;

    let first = until_available(&docs, json!(["cart"])).await;
    assert!(first["paths"].get("/api/v1/users/me").is_some(), "{first}");

    server.abort();
    let (_, _cart) = upstream(&cart.to_string(), "/api/v1/cart").await;
    let whole = until_available(&docs, json!([])).await;
    let paths: Vec<&String> = whole["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(paths, ["/api/v1/cart", "/api/v1/users/me"]);
    assert_eq!(whole["info"]["title"], "Shopkeeper");
}

#[tokio::test]
async fn the_page_and_all_its_files_come_from_us_with_and_without_a_trailing_slash() {
    let docs = start(String::new()).await;
    let get = |path: &str| docs.client.get(docs.url(path)).send();
    for path in ["/docs", "/docs/", "/docs/index.html"] {
        let answer = get(path).await.expect("docs answers");
        assert_eq!(answer.status(), 200, "{path}");
        let page = answer.text().await.expect("a page");
        assert!(page.contains("<base href=\"/docs/\">"), "{page}");
        assert!(!page.contains("://"), "the page asks somebody else: {page}");
    }
    for (file, kind) in [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")] {
        let answer = get(&format!("/docs/{file}")).await.expect("docs answers");
        assert_eq!(answer.status(), 200, "{file}");
        assert_eq!(answer.headers()["content-type"], kind);
    }
    let start = get("/docs/swagger-initializer.js").await.expect("docs answers").text().await.expect("a script");
    assert!(start.contains("/swagger-json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    let missing = get("/docs/nothing.js").await.expect("docs answers");
    assert_eq!(
        (missing.status().as_u16(), missing.headers()["content-type"].as_bytes()),
        (404, &b"application/problem+json"[..])
    );
}
