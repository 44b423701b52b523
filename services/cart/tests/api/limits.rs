//! What the cart service does not take, and what it does not let a client set.

use reqwest::Method;
use serde_json::{Value, json};
use shop_testing::limits::{Sample, Try, check};
use uuid::Uuid;

use crate::harness::{Shop, order};

#[tokio::test]
async fn every_field_of_every_route_has_limits_and_is_named_when_it_breaks_them() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1999));
    shop.neighbours.change(desk, |product| product.available = 1_000_000);
    let item = json!({"productId": desk});
    let checkout = {
        let mut order = order();
        order["expectedTotal"] = json!(19.99);
        order
    };
    let samples = [
        Sample::with_body("POST /api/v1/cart", json!({}), json!({"productId": desk, "quantity": 1})),
        Sample::with_body("PUT /api/v1/cart/items/{productId}", item.clone(), json!({"quantity": 2})),
        Sample::new("DELETE /api/v1/cart/items/{productId}", item),
        Sample::with_body("POST /api/v1/cart/checkout", json!({}), checkout),
    ];
    let send = async |Try { method, route, path, body }: Try| {
        // Every try finds the same cart.
        buyer.call(Method::DELETE, "/api/v1/cart", None).await;
        if route != "POST /api/v1/cart" {
            buyer.add(desk, 1).await;
        }
        buyer.call(Method::from_bytes(method.as_bytes()).expect("a method"), &path, body).await
    };
    check(&shop.document().await, &samples, send).await;
}

#[tokio::test]
async fn numbers_that_are_no_quantities_get_nothing_into_a_cart() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1999));
    for quantity in
        ["0", "-1", "-0", "1000", "1.5", "1.0", "1e2", "1e400", "99999999999999999999", "\"1\"", "null", "true", "[1]"]
    {
        let body = format!("{{\"productId\":\"{desk}\",\"quantity\":{quantity}}}");
        let (status, problem) = buyer.call_text(Method::POST, "/api/v1/cart", &body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("quantity")), "{quantity}: {problem}");
    }
    let twice = format!("{{\"productId\":\"{desk}\",\"product_id\":\"{}\",\"quantity\":1}}", Uuid::new_v4());
    let (status, problem) = buyer.call_text(Method::POST, "/api/v1/cart", &twice).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("productId")), "{problem}");
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn whose_cart_it_is_and_what_it_costs_is_not_the_clients_to_say() {
    let shop = Shop::open().await;
    let (buyer, victim) = (shop.buyer(), shop.buyer());
    let desk = shop.neighbours.sell("desk", 199_999);
    victim.add(desk, 1).await;
    let cheat = json!({
        "unitPrice": 0.01, "unit_price": 0.01, "price": -5, "total": 0, "total_amount": 0.01, "currency": "XXX",
        "productName": "free", "imageUrl": "https://attacker.example/", "userId": victim.id, "user_id": victim.id,
        "sellerId": buyer.id, "available": 999, "stale": true, "expires_at": "2999-01-01T00:00:00Z", "role": "admin",
    });
    let with = |mut body: Value| {
        body.as_object_mut().expect("an object").extend(cheat.as_object().expect("an object").clone());
        body
    };
    let add = with(json!({"productId": desk, "quantity": 2}));
    let (status, cart) = buyer.call(Method::POST, "/api/v1/cart", Some(add)).await;
    assert_eq!(status, 201, "{cart}");
    let path = format!("/api/v1/cart/items/{desk}");
    let (status, cart) = buyer.call(Method::PUT, &path, Some(with(json!({"quantity": 3})))).await;
    assert_eq!((status, &cart["user_id"], &cart["total_amount"]), (200, &json!(buyer.id), &json!(5999.97)));

    let mut checkout = with(order());
    for (name, value) in [("order_id", json!(Uuid::nil())), ("status", json!("PAID")), ("items", json!([]))] {
        checkout[name] = value;
    }
    let (status, placed) = buyer.call(Method::POST, "/api/v1/cart/checkout", Some(checkout)).await;
    assert_eq!((status, &placed["status"]), (201, &json!("CREATED")), "{placed}");
    let orders = shop.neighbours.orders();
    let order = &orders[0];
    assert_eq!((order.user_id.as_str(), orders.len()), (buyer.id.to_string().as_str(), 1));
    assert_eq!((order.items.len(), order.items[0].quantity, order.items[0].unit_price), (1, 3, 0.0));
    assert_ne!(order.order_id, Uuid::nil().to_string());
    assert_eq!(victim.contents().await, [("desk".to_owned(), 1)]);
}

#[tokio::test]
async fn an_expected_total_is_an_amount_of_the_shops_currency() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1999));
    buyer.add(desk, 1).await;
    for total in ["-1", "-19.99", "19.999", "1e300", "\"19.99\"", "{}", "[19.99]"] {
        for name in ["expectedTotal", "expected_total"] {
            let body = order().to_string().replacen('{', &format!("{{\"{name}\":{total},"), 1);
            let (status, problem) = buyer.call_text(Method::POST, "/api/v1/cart/checkout", &body).await;
            let field = problem["errors"][0]["field"].as_str().unwrap_or_default();
            assert!(
                status == 400 && ["expectedTotal", "expected_total"].contains(&field),
                "{total}: {status} {problem}"
            );
        }
    }
    assert!(shop.neighbours.calls().is_empty(), "order was not even asked");
}
