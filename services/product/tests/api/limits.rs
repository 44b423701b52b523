//! What the product service does not take, and what it does not let a client set.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, multipart::Form};
use serde_json::{Value, json};
use shop_auth::Role;
use shop_core::{Fault, Kind};
use shop_mesh::{for_caller, from_status};
use shop_proto::catalog::{GetProductsRequest, ReservationLine, ReserveStockRequest};
use shop_testing::limits::{Sample, Try, check};
use uuid::Uuid;

use crate::harness::{Shop, answer, fields_of};

#[tokio::test]
async fn every_field_of_every_route_has_limits_and_is_named_when_it_breaks_them() {
    let shop = Shop::start().await;
    let both = shop.person(&[Role::Buyer, Role::Seller, Role::Admin]);
    let (product, gone) = (shop.product(&both, "Lamp", 1).await, shop.product(&both, "Gone", 1).await);
    let (_, category) = shop.post("/api/v1/categories", &both, &json!({"name": "Lamps"})).await;
    let fields = json!({
        "name": "Lamp", "description": "Bright.", "price": 19.99, "currency": "USD", "status": "draft",
        "categoryIds": [category["id"]], "attributes": {"color": "red"}, "imageUrl": "https://example.com/lamp.png",
    });
    let list = json!({
        "q": "lamp", "seller_id": both.id, "status": "active", "category_id": category["id"], "min_price": 1, "max_price": 2,
        "attributes": "{\"color\":\"red\"}", "sort": "newest", "page": 1, "limit": 20,
    });
    let samples = [
        Sample::with_body("POST /api/v1/products", json!({}), fields.clone()),
        Sample::new("GET /api/v1/products", list),
        Sample::new("GET /api/v1/products/{id}", json!({"id": product})),
        Sample::with_body("PUT /api/v1/products/{id}", json!({"id": product}), fields),
        Sample::new("DELETE /api/v1/products/{id}", json!({"id": gone})),
        Sample::with_body(
            "POST /api/v1/categories",
            json!({}),
            json!({"name": "Desk lamps", "parentId": category["id"]}),
        ),
        Sample::new("GET /api/v1/products/{id}/inventory", json!({"id": product})),
        Sample::with_body("PUT /api/v1/products/{id}/inventory", json!({"id": product}), json!({"stock": 5})),
        Sample::new("GET /uploads/{key}", json!({"key": "none.png"})),
    ];
    let send = async |Try { method, path, body, .. }: Try| {
        let request = shop.request(Method::from_bytes(method.as_bytes()).expect("a method"), &path, Some(&both));
        answer(body.iter().fold(request, RequestBuilder::json)).await
    };
    check(&shop.service.document().await, &samples, send).await;
}

#[tokio::test]
async fn every_field_of_a_form_is_named_when_it_breaks_a_rule() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let (long_name, long_text, many) = ("x".repeat(201), "ш".repeat(10_001), json!(vec![Uuid::nil(); 21]).to_string());
    for (field, value) in [
        ("name", ""),
        ("name", "\u{200b}"),
        ("name", long_name.as_str()),
        ("name", "a\u{0}b"),
        ("description", long_text.as_str()),
        ("description", "a\u{0}b"),
        ("price", "-1"),
        ("price", "1.999"),
        ("price", "NaN"),
        ("price", "inf"),
        ("price", "1e300"),
        ("price", "12 USD"),
        ("currency", "EUR"),
        ("currency", "usd"),
        ("status", "sold"),
        ("category_ids", many.as_str()),
        ("category_ids", "[7]"),
        ("category_ids", "{}"),
        ("category_ids", "[\"x\"]"),
        ("category_ids", "lamps"),
        ("attributes", "red"),
        ("attributes", "[]"),
        ("attributes", "{\"deep\":{\"er\":1}}"),
        ("imageUrl", "javascript:alert(1)"),
        ("image_url", "javascript:alert(1)"),
    ] {
        let usual = [("name", "Lamp"), ("price", "1")].into_iter().filter(|(name, _)| *name != field);
        let form = usual.fold(Form::new(), |form, (name, value)| form.text(name, value)).text(field, value.to_owned());
        let (status, problem) =
            answer(shop.request(Method::POST, "/api/v1/products", Some(&seller)).multipart(form)).await;
        let plain = |name: &str| name.split('[').next().unwrap_or_default().replace('_', "").to_lowercase();
        let named: BTreeSet<String> = fields_of(&problem).into_iter().map(plain).collect();
        assert_eq!((status, named), (400, [plain(field)].into()), "{field} = {value:.40}: {problem}");
    }
    assert_eq!(shop.get("/api/v1/products?status=draft", Some(&seller)).await.1["total"], 0);
}

#[tokio::test]
async fn a_client_sets_only_what_is_its_own_to_set() {
    let shop = Shop::start().await;
    let (seller, other, admin) = (shop.seller(), shop.seller(), shop.admin());
    let cheat = json!({
        "id": Uuid::nil(), "sellerId": other.id, "seller_id": other.id, "stock": 99, "reserved": -5, "available": 99,
        "inventory": {"stock": 99}, "createdAt": "2000-01-01T00:00:00Z", "updated_at": "2000-01-01T00:00:00Z",
        "deletedAt": null, "role": "admin", "price_minor": 1, "priceMinor": 1, "search": "x", "__proto__": {"admin": true},
    });
    let with = |mut body: Value| {
        body.as_object_mut().expect("an object").extend(cheat.as_object().expect("an object").clone());
        body
    };
    let new = with(json!({"name": "Lamp", "price": 19.99, "status": "active"}));
    let (status, made) = shop.post("/api/v1/products", &seller, &new).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/products/{id}");
    assert_eq!(shop.put(&path, &seller, &with(json!({"description": "Bright."}))).await.0, 200);
    assert_eq!(shop.put(&format!("{path}/inventory"), &seller, &json!({
        "stock": 3, "reserved": 2, "available": 9, "productId": Uuid::nil(), "updatedAt": "2000-01-01T00:00:00Z",
    })).await.0, 200);

    let (_, read) = shop.get(&path, None).await;
    let product = &read["product"]["product"];
    assert_ne!(made["id"], json!(Uuid::nil()));
    assert_eq!((&product["sellerId"], &product["price"]), (&json!(seller.id), &json!(19.99)));
    assert_eq!((&product["createdAt"], &product["description"]), (&made["createdAt"], &json!("Bright.")));
    assert_eq!(shop.stock(&id).await, [3, 0, 3]);
    assert_eq!(shop.put(&path, &other, &json!({"price": 1})).await.0, 403, "it did not change hands");

    let (status, category) = shop.post("/api/v1/categories", &admin, &with(json!({"name": "Lamps"}))).await;
    assert_eq!(status, 201);
    assert_ne!(category["id"], json!(Uuid::nil()));
    assert_eq!(shop.post("/api/v1/categories", &seller, &with(json!({"name": "Mine"}))).await.0, 403);
}

#[tokio::test]
async fn every_field_of_a_grpc_request_is_named_when_it_breaks_a_rule() {
    let shop = Shop::start().await;
    let (seller, buyer) = (shop.seller(), shop.buyer());
    let product = shop.product(&seller, "Lamp", 5000).await;
    let line = |product_id: &str, quantity| ReservationLine { product_id: product_id.to_owned(), quantity };
    let good = || ReserveStockRequest { order_id: Uuid::new_v4().to_string(), lines: vec![line(&product, 1)] };
    let mut tried: Vec<(&str, &str, ReserveStockRequest)> = Vec::new();
    for id in ["", "1", "not-an-id"] {
        tried.push(("order_id", "uuid", ReserveStockRequest { order_id: id.to_owned(), ..good() }));
        tried.push(("lines[0].product_id", "uuid", ReserveStockRequest { lines: vec![line(id, 1)], ..good() }));
    }
    for quantity in [0, -1, 1000, i32::MIN, i32::MAX] {
        let lines = vec![line(&product, quantity)];
        tried.push(("lines[0].quantity", "range", ReserveStockRequest { lines, ..good() }));
    }
    tried.push(("lines", "length", ReserveStockRequest { lines: Vec::new(), ..good() }));
    tried.push(("lines", "length", ReserveStockRequest { lines: vec![line(&product, 1); 101], ..good() }));
    tried.push((
        "lines[1].product_id",
        "distinct",
        ReserveStockRequest { lines: vec![line(&product, 1); 2], ..good() },
    ));
    let all_wrong = ReserveStockRequest { order_id: String::new(), lines: vec![line("x", 0)] };
    for field in ["order_id", "lines[0].quantity", "lines[0].product_id"] {
        let rule = if field.ends_with("quantity") { "range" } else { "uuid" };
        tried.push((field, rule, all_wrong.clone()));
    }
    for (field, rule, message) in tried {
        let request = for_caller(message, &buyer.token.clone().into()).expect("an ASCII token");
        let fault = refused(shop.catalog.clone().reserve_stock(request).await);
        let named = fault.fields().iter().any(|error| error.field == field && error.rule == rule);
        assert!(fault.kind() == Kind::Invalid && named, "{field} {rule}: {fault:?}");
    }
    assert_eq!(shop.stock(&product).await, [5000, 0, 5000]);

    for (field, product_ids) in [
        ("product_ids", vec![product.clone(); 101]),
        ("product_ids[1]", vec![product.clone(), "x".to_owned()]),
        ("product_ids[0]", vec![String::new()]),
    ] {
        let fault = refused(shop.catalog.clone().get_products(GetProductsRequest { product_ids }).await);
        assert_eq!((fault.kind(), fault.fields()[0].field.as_str()), (Kind::Invalid, field));
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> Fault {
    from_status("The catalog", answer.expect_err("it is refused"))
}
