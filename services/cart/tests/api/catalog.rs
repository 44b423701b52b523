//! The last known prices, for when the catalog is away.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shop_testing::eventually;

use crate::harness::{Buyer, Shop};

async fn until_item(buyer: &Buyer<'_>, field: &str, expected: Value) {
    eventually("the item shows it", || async {
        let cart = buyer.cart().await;
        let shown = &cart["items"][0][field];
        if *shown == expected { Ok(()) } else { Err(cart.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn with_the_catalog_down_a_cart_shows_the_last_known_prices_and_says_so() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_050));
    buyer.add(desk, 2).await;
    assert!(buyer.cart().await["items"][0].get("stale").is_none());
    shop.catalog.stop();
    until_item(&buyer, "stale", json!(true)).await;
    let cart = buyer.cart().await;
    assert_eq!((&cart["items"][0]["productName"], &cart["total_amount"]), (&json!("desk"), &json!(21.0)));
    let (status, problem) = buyer.add(shop.neighbours.sell("lamp", 1), 1).await;
    assert_eq!(status, 503, "nothing is known of the lamp: {problem}");
    assert_eq!(buyer.add(desk, 1).await.0, 201);
}

#[tokio::test]
async fn product_events_refresh_what_is_known_and_an_older_one_changes_nothing() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 3).await;
    shop.catalog.stop();
    until_item(&buyer, "stale", json!(true)).await;

    let soon = Timestamp::now() + SignedDuration::from_secs(60);
    let product = |name: &str, price: i64| json!({ "productId": desk, "name": name, "priceMinor": price, "status": "active", "newField": 1 });
    shop.tell("product.updated", soon, product("better desk", 1_500)).await;
    until_item(&buyer, "unitPrice", json!(15.0)).await;
    shop.tell("product.updated", soon - SignedDuration::from_secs(30), product("older desk", 1_200)).await;
    shop.tell("inventory.changed", soon, json!({ "productId": desk, "stock": 2, "reserved": 1, "available": 1 })).await;
    until_item(&buyer, "available", json!(1)).await;
    let cart = buyer.cart().await;
    assert_eq!((&cart["items"][0]["productName"], &cart["total_amount"]), (&json!("better desk"), &json!(45.0)));

    shop.tell("product.deleted", soon, json!({ "productId": desk })).await;
    until_item(&buyer, "available", json!(0)).await;
    assert_eq!(buyer.add(desk, 1).await.0, 409);
}

#[tokio::test]
async fn news_that_comes_backwards_and_twice_leaves_what_happened_last() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    // More than there will be: then the cart says how many there are.
    buyer.add(desk, 5).await;
    shop.catalog.stop();
    until_item(&buyer, "stale", json!(true)).await;

    let described =
        |name: &str, price: i64| json!({ "productId": desk, "name": name, "priceMinor": price, "status": "active" });
    let news = [
        ("product.created", described("first desk", 100)),
        ("product.updated", described("second desk", 200)),
        ("product.status_changed", json!({ "productId": desk, "status": "inactive" })),
        ("product.updated", described("last desk", 300)),
        ("inventory.changed", json!({ "productId": desk, "stock": 9, "reserved": 2, "available": 7 })),
        ("inventory.changed", json!({ "productId": desk, "stock": 9, "reserved": 5, "available": 4 })),
    ];
    let soon = Timestamp::now() + SignedDuration::from_secs(60);
    for (second, (kind, payload)) in (0_i32..6).zip(news).rev().flat_map(|told| [told.clone(), told]) {
        shop.tell(kind, soon + SignedDuration::from_secs(second.into()), payload).await;
    }
    for (kind, times) in
        [("product.created", 2), ("product.updated", 4), ("product.status_changed", 2), ("inventory.changed", 4)]
    {
        shop.cart.handled(kind, times).await;
    }
    let item = buyer.cart().await["items"][0].clone();
    let shown = (&item["productName"], &item["unitPrice"], &item["available"]);
    assert_eq!(shown, (&json!("last desk"), &json!(3.0), &json!(4)));
}

#[tokio::test]
async fn a_product_the_catalog_no_longer_has_stays_visible_as_one_that_cannot_be_bought() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.change(desk, |product| product.available = 0);
    assert_eq!(buyer.cart().await["items"][0]["available"], 0);
    shop.neighbours.withdraw(desk);
    let item = buyer.cart().await["items"][0].clone();
    assert_eq!((&item["productName"], &item["available"], &item["stale"]), (&json!("desk"), &json!(0), &json!(true)));
}
