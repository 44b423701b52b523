//! What the ingress lets in, and what it answers to those who should not be there.

use reqwest::{Method, StatusCode};
use serde::de::IgnoredAny;
use serde_json::Value;
use shop_e2e::{
    purchase::stranger,
    shop::{Answer, Call},
};

use crate::visit;

#[tokio::test]
async fn one_document_describes_the_routes_of_all_services() {
    let shop = visit().await.shop;
    let document: Value =
        shop.send(Call::new(Method::GET, "/swagger-json")).await.expect("an answer").ok().expect("a JSON document");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "OpenAPI 3.1");
    let paths = document["paths"].as_object().expect("paths");
    for (path, method) in [
        ("/api/v1/auth/register", "post"),
        ("/api/v1/auth/login", "post"),
        ("/api/v1/users/apply-seller", "put"),
        ("/api/v1/products", "post"),
        ("/api/v1/products/{id}/inventory", "put"),
        ("/api/v1/categories", "post"),
        ("/api/v1/cart", "post"),
        ("/api/v1/cart/checkout", "post"),
        ("/api/v1/orders/{id}", "get"),
    ] {
        assert!(
            paths.get(path).and_then(|operations| operations.get(method)).is_some(),
            "{method} {path} is documented"
        );
    }
}

#[tokio::test]
async fn the_documentation_is_a_page_to_try_things_out() {
    let shop = visit().await.shop;
    let page: Answer<IgnoredAny> = shop.send(Call::new(Method::GET, "/docs/")).await.expect("an answer");
    assert_eq!((page.status, page.content_type.starts_with("text/html")), (StatusCode::OK, true));
    assert!(page.body.contains("swagger-ui"), "{}", page.body);
}

#[tokio::test]
async fn probes_metrics_and_grpc_are_not_routed() {
    let shop = visit().await.shop;
    for (method, path) in [
        (Method::GET, "/livez"),
        (Method::GET, "/readyz"),
        (Method::GET, "/metrics"),
        (Method::GET, "/openapi.json"),
        (Method::POST, "/ecommerce.orders.OrderService/CreateOrder"),
        (Method::POST, "/shop.catalog.v1.CatalogService/ReserveStock"),
    ] {
        let answer: Answer<IgnoredAny> = shop.send(Call::new(method, path)).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_token_gets_a_problem_document() {
    let shop = visit().await.shop;
    let answer: Answer<IgnoredAny> = shop.send(Call::new(Method::GET, "/api/v1/cart/")).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.content_type, "application/problem+json");
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["trace_id"].as_str(), answer.trace_id.as_deref());
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "it says what to do");
}

#[tokio::test]
async fn somebody_who_did_not_verify_the_address_cannot_log_in() {
    let shop = visit().await.shop;
    let (known, unknown) = (stranger(), stranger());
    shop.register(&known).await.expect("an answer").ok().expect("the address is registered");
    let answer = shop.log_in(&known).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let to_a_stranger = shop.log_in(&unknown).await.expect("an answer");
    let detail = |body: &str| serde_json::from_str::<Value>(body).expect("a problem")["detail"].clone();
    assert_eq!(detail(&answer.body), detail(&to_a_stranger.body), "nobody learns which addresses are registered");
}
