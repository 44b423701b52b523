//! What is in a cart, and what it costs.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::harness::Shop;

#[tokio::test]
async fn price_name_and_image_are_the_catalogs_whatever_the_client_sends() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 19_999));
    let cheat = json!({
        "product_id": desk, "quantity": 2, "unitPrice": 0.01, "unit_price": 0.01, "productName": "x", "imageUrl": "x",
    });
    let (status, cart) = buyer.call(Method::POST, "/api/v1/cart/", Some(cheat)).await;
    assert_eq!(status, 201, "{cart}");
    assert_eq!(
        cart["items"],
        json!([{ "productId": desk, "productName": "desk", "unitPrice": 199.99, "quantity": 2, "imageUrl": "/uploads/desk.png" }])
    );
    assert_eq!((&cart["user_id"], &cart["total_amount"]), (&json!(buyer.id), &json!(399.98)));
    let expires: Timestamp = cart["expires_at"].as_str().expect("a time").parse().expect("RFC 3339");
    let days = (expires - Timestamp::now()).total(jiff::Unit::Hour).expect("hours") / 24.0;
    assert!((6.9..7.1).contains(&days), "{days}");
    assert_eq!(buyer.cart().await["items"], cart["items"]);
}

#[tokio::test]
async fn quantities_add_up_to_999_and_no_further_even_from_many_tabs() {
    let shop = Shop::open().await;
    let (buyer, lamp) = (shop.buyer(), shop.neighbours.sell("lamp", 5));
    let adds = futures::future::join_all((0..12).map(|_| buyer.add(lamp, 100))).await;
    let refused: Vec<_> = adds.iter().filter(|(status, _)| *status != 201).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!((refused[0].0, &refused[0].1["errors"][0]["field"]), (400, &json!("quantity")));
    assert_eq!(buyer.contents().await, [("lamp".to_owned(), 900)]);

    for bad in [json!(0), json!(1000), json!(-1), json!(1.5), json!("2"), json!(null)] {
        let path = format!("/api/v1/cart/items/{lamp}");
        let (status, problem) = buyer.call(Method::PUT, &path, Some(json!({ "quantity": bad }))).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("quantity")), "{bad}: {problem}");
    }
    let (status, cart) =
        buyer.call(Method::PUT, &format!("/api/v1/cart/items/{lamp}"), Some(json!({ "quantity": 999 }))).await;
    assert_eq!((status, &cart["total_amount"]), (200, &json!(49.95)));
}

#[tokio::test]
async fn items_are_taken_out_and_the_cart_is_emptied() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 2), shop.neighbours.sell("lamp", 3));
    buyer.add(desk, 1).await;
    buyer.add(lamp, 2).await;
    assert_eq!(buyer.contents().await, [("desk".to_owned(), 1), ("lamp".to_owned(), 2)]);
    let (status, cart) = buyer.remove(desk).await;
    assert_eq!((status, &cart["total_amount"]), (200, &json!(0.06)));
    assert_eq!(buyer.remove(desk).await.0, 200);
    let (status, problem) =
        buyer.call(Method::PUT, &format!("/api/v1/cart/items/{desk}"), Some(json!({ "quantity": 1 }))).await;
    assert_eq!(status, 404, "{problem}");
    assert_eq!(buyer.call(Method::DELETE, "/api/v1/cart", None).await.0, 204);
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn a_cart_is_its_owners_alone() {
    let shop = Shop::open().await;
    let (owner, neighbour, desk) = (shop.buyer(), shop.buyer(), shop.neighbours.sell("desk", 2));
    owner.add(desk, 1).await;
    assert!(neighbour.contents().await.is_empty());
    assert_eq!(shop.as_stranger(Method::GET, "/api/v1/cart").await.0, 401);
}

#[tokio::test]
async fn what_is_not_for_sale_does_not_get_into_a_cart() {
    let shop = Shop::open().await;
    let (buyer, draft) = (shop.buyer(), shop.neighbours.sell("draft", 2));
    shop.neighbours.change(draft, |product| product.active = false);
    let (status, problem) = buyer.add(draft, 1).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:not_for_sale")));
    assert_eq!(buyer.add(uuid::Uuid::new_v4(), 1).await.0, 404);
    assert_eq!(buyer.call(Method::POST, "/api/v1/cart", Some(json!({ "productId": "1", "quantity": 1 }))).await.0, 400);
    assert!(buyer.contents().await.is_empty());
}
