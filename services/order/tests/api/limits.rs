//! What the order service does not take: every field over HTTP and gRPC, and tokens nobody should have.

use reqwest::{Method, header};
use serde_json::json;
use shop_auth::Role;
use shop_mesh::from_status;
use shop_proto::orders::{Address, CreateOrderRequest};
use shop_testing::{
    forgeries::{forgeries, genuine},
    limits::{Sample, Try, check},
};
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Shop, checkout};

/// A text of an address.
type Pick = fn(&mut Address) -> &mut String;

#[tokio::test]
async fn every_field_of_every_route_has_limits_and_is_named_when_it_breaks_them() {
    let (shop, _neighbours) = Shop::open().await;
    let seller = shop.person(&[Role::Buyer, Role::Seller]);
    let order = shop.order_a_kettle(&seller).await;
    let samples = [
        Sample::new("GET /api/v1/orders", json!({"page": 1, "limit": 20})),
        Sample::new("GET /api/v1/orders/{id}", json!({"id": order})),
        Sample::new("POST /api/v1/orders/{id}/cancel", json!({"id": order})),
        Sample::new("GET /api/v1/seller/orders", json!({"page": 1, "limit": 20})),
    ];
    let send = async |Try { method, path, .. }: Try| {
        shop.http(Method::from_bytes(method.as_bytes()).unwrap(), &seller, &path).await
    };
    check(&shop.service.document().await, &samples, send).await;
}

#[tokio::test]
async fn every_field_of_create_order_is_named_when_it_breaks_a_rule() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 100);
    let good = || checkout(&buyer, Uuid::now_v7(), &[(kettle, 1)]);
    let mut tried = Vec::new();
    let mut with = |field: &'static str, rule: &'static str, change: &dyn Fn(&mut CreateOrderRequest)| {
        let mut request = good();
        change(&mut request);
        tried.push((field, rule, request));
    };

    for id in ["", "1", "not-an-id", "00000000-0000-0000-0000-00000000000g"] {
        with("user_id", "uuid", &|request| request.user_id = id.to_owned());
        with("items[0].product_id", "uuid", &|request| request.items[0].product_id = id.to_owned());
        if !id.is_empty() {
            with("order_id", "uuid", &|request| request.order_id = id.to_owned());
        }
    }
    with("items", "length", &|request| request.items.clear());
    with("items", "length", &|request| request.items = vec![request.items[0].clone(); 101]);
    with("items[1].product_id", "distinct", &|request| request.items.push(request.items[0].clone()));
    for quantity in [0, -1, 1000, i32::MIN, i32::MAX] {
        with("items[0].quantity", "range", &|request| request.items[0].quantity = quantity);
    }
    for total in [-1, i64::MIN, i64::MAX, 1_000_000_000_001] {
        with("expected_total_minor", "range", &|request| request.expected_total_minor = Some(total));
    }
    let texts: [(&str, Pick, usize); 4] = [
        ("shipping_address.full_name", |address| &mut address.full_name, 200),
        ("shipping_address.phone", |address| &mut address.phone, 40),
        ("shipping_address.city", |address| &mut address.city, 200),
        ("shipping_address.street", |address| &mut address.street, 300),
    ];
    for (field, pick, most) in texts {
        let wide = "1".repeat(most + 1);
        let bad = [
            ("", "required"),
            ("  ", "required"),
            ("\u{200b}", "required"),
            ("1\u{0}", "characters"),
            ("1\n2", "characters"),
            ("1\u{202e}2", "characters"),
            (wide.as_str(), "length"),
        ];
        for (text, rule) in bad {
            with(field, rule, &|request| text.clone_into(pick(request.shipping_address.as_mut().unwrap())));
        }
    }
    with("shipping_address.phone", "phone", &|request| {
        "call me".clone_into(&mut request.shipping_address.as_mut().unwrap().phone);
    });
    with("shipping_address.full_name", "required", &|request| request.shipping_address = None);

    for (field, rule, request) in tried {
        let status = shop.create(&buyer, request).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field} {rule}: {status}");
        let fault = from_status("order", status);
        let named = fault.fields().iter().any(|error| error.field == field && error.rule == rule);
        assert!(named, "{field} {rule}: {:?}", fault.fields());
    }
    for id in ["", "1", "' OR 1=1"] {
        let status = shop.try_status(Some(&buyer), id).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(from_status("order", status).fields()[0].field, "order_id");
    }
    assert_eq!(shop.catalog.available(kettle), 100, "nothing was reserved");
    shop.create(&buyer, good()).await.unwrap();
}

#[tokio::test]
async fn limits_count_characters_and_the_largest_order_is_accepted() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let lines: Vec<_> = (0..100).map(|_| (shop.catalog.stock("Kettle", Uuid::now_v7(), 1, 999), 999)).collect();
    let mut request = checkout(&buyer, Uuid::now_v7(), &lines);
    let address = request.shipping_address.as_mut().unwrap();
    (address.full_name, address.city, address.street) = ("ш".repeat(200), "山".repeat(200), "é".repeat(300));
    address.phone = "1".repeat(40);
    assert_eq!(shop.create(&buyer, request).await.unwrap().total_minor, 99_900);
}

#[tokio::test]
async fn forged_tokens_are_refused_over_http_and_grpc_and_a_genuine_one_is_not() {
    let (shop, _neighbours) = Shop::open().await;
    let ask = async |authorization: Option<String>, query: &str| {
        let request = shop.service.client.get(shop.service.url(&format!("/api/v1/orders{query}")));
        let request = authorization.iter().fold(request, |request, value| request.header(header::AUTHORIZATION, value));
        request.send().await.unwrap().status().as_u16()
    };
    let good = genuine(&shop.tokens);
    assert_eq!(ask(Some(format!("Bearer {good}")), "").await, 200);
    let person = |token: String| crate::harness::Person { id: Uuid::nil(), token };
    let mut accepted = Vec::new();
    for (what, token) in forgeries(&shop.tokens) {
        let over_http = ask(Some(format!("Bearer {token}")), "").await;
        let over_grpc = shop.try_status(Some(&person(token)), &Uuid::now_v7().to_string()).await.unwrap_err().code();
        if (over_http, over_grpc) != (401, Code::Unauthenticated) {
            accepted.push(format!("{what}: {over_http}, {over_grpc:?}"));
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));

    for query in ["access_token", "token", "authorization", "jwt"] {
        assert_eq!(ask(None, &format!("?{query}={good}")).await, 401, "{query}");
    }
    for value in
        [good.clone(), format!("Basic {good}"), format!("Token {good}"), "Bearer".to_owned(), "Bearer ".to_owned()]
    {
        assert_eq!(ask(Some(value.clone()), "").await, 401, "{value}");
    }
    let cookie = shop.service.client.get(shop.service.url("/api/v1/orders"));
    let cookie = cookie.header(header::COOKIE, format!("access_token={good}; Authorization=Bearer {good}"));
    assert_eq!(cookie.send().await.unwrap().status(), 401);
}
