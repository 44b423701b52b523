//! Lists of orders.

use reqwest::Method;
use serde_json::{Value, json};
use shop_auth::Role;
use uuid::Uuid;

use crate::harness::{Person, Shop, checkout};

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

async fn list(shop: &Shop, person: &Person, path: &str) -> Value {
    let (status, body) = shop.http(Method::GET, person, path).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn my_orders_come_newest_first_by_page_and_by_cursor() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, shop.order_a_kettle(&buyer).await.to_string());
    }

    let all = list(&shop, &buyer, "/api/v1/orders/").await;
    assert_eq!((ids(&all), &all["total"], &all["nextCursor"]), (newest_first.clone(), &json!(5), &Value::Null));
    assert_eq!(all["data"][0]["items"][0]["productName"], "Kettle");
    assert_eq!(all["data"][0]["total_amount"], 19.99);
    let second = list(&shop, &buyer, "/api/v1/orders?page=2&limit=2").await;
    assert_eq!((ids(&second), &second["total"]), (newest_first[2..4].to_vec(), &json!(5)));

    let first = list(&shop, &buyer, "/api/v1/orders?limit=2").await;
    let mut cursor = first["nextCursor"].clone();
    let mut walked = ids(&first);
    // An order that comes in between shifts pages, and no cursor.
    shop.order_a_kettle(&buyer).await;
    while let Some(after) = cursor.as_str() {
        let next = list(&shop, &buyer, &format!("/api/v1/orders?limit=2&cursor={after}")).await;
        walked.extend(ids(&next));
        cursor = next["nextCursor"].clone();
    }
    assert_eq!(walked, newest_first);
}

#[tokio::test]
async fn a_bad_page_limit_cursor_or_id_is_named() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    for (path, field) in [
        ("/api/v1/orders?page=0", "page"),
        ("/api/v1/orders?limit=0", "limit"),
        ("/api/v1/orders?limit=101", "limit"),
        ("/api/v1/orders?cursor=abc", "cursor"),
        ("/api/v1/orders?cursor=-377705023201000000.00000000000000000000000000000007.0", "cursor"),
        ("/api/v1/orders/1", "id"),
    ] {
        let (status, problem) = shop.http(Method::GET, &buyer, path).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!(field)), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_seller_sees_the_lines_of_their_own_products_and_nothing_else() {
    let (shop, _neighbours) = Shop::open().await;
    let (seller, other) = (shop.person(&[Role::Buyer, Role::Seller]), Uuid::now_v7());
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", seller.id, 1999, 10);
    let lid = shop.catalog.stock("Lid", seller.id, 300, 10);
    let cup = shop.catalog.stock("Cup", other, 550, 10);
    let made = shop.create(&buyer, checkout(&buyer, order, &[(kettle, 2), (cup, 1), (lid, 1)])).await.unwrap();

    let first = list(&shop, &seller, "/api/v1/seller/orders?limit=1").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = list(&shop, &seller, &format!("/api/v1/seller/orders?limit=1&cursor={cursor}")).await;
    assert_eq!((&first["total"], &second["nextCursor"]), (&json!(2), &Value::Null));
    assert_eq!(first["data"][0]["item"]["productId"], json!(lid));
    assert_eq!(
        second["data"],
        json!([{
            "order_id": order,
            "status": "CREATED",
            "item": {
                "productId": kettle, "sellerId": seller.id, "productName": "Kettle", "unitPrice": 19.99, "quantity": 2,
                "imageUrl": "/uploads/kettle"
            },
            "currency": "USD",
            "created_at": made.created_at,
        }])
    );

    assert_eq!(shop.http(Method::GET, &buyer, "/api/v1/seller/orders").await.0, 403);
    assert_eq!(shop.http(Method::GET, &seller, &format!("/api/v1/orders/{order}")).await.0, 404);
}

#[tokio::test]
async fn nobody_sees_orders_without_a_token() {
    let (shop, _neighbours) = Shop::open().await;
    let stranger = Person { id: Uuid::nil(), token: "nonsense".to_owned() };
    let order = Uuid::now_v7();
    for (method, path) in [
        (Method::GET, "/api/v1/orders".to_owned()),
        (Method::GET, format!("/api/v1/orders/{order}")),
        (Method::POST, format!("/api/v1/orders/{order}/cancel")),
        (Method::GET, "/api/v1/seller/orders".to_owned()),
    ] {
        assert_eq!(shop.http(method, &stranger, &path).await.0, 401, "{path}");
    }
}
