//! One order a checkout, whatever happens in between.

use std::{collections::HashSet, sync::atomic::Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use shop_testing::eventually;

use crate::harness::{Shop, order};

async fn until_calls(shop: &Shop, count: usize) {
    eventually("order is asked", || async {
        let calls = shop.neighbours.calls().len();
        if calls >= count { Ok(()) } else { Err(format!("{calls} calls")) }
    })
    .await;
}

fn names(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, quantity)| ((*name).to_owned(), *quantity)).collect()
}

#[tokio::test]
async fn a_checkout_makes_one_order_of_the_cart_and_empties_it() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 1).await;
    buyer.add(lamp, 2).await;
    let body = json!({ "expected_total": 15.0, "shipping_address": {
        "fullName": " Ada ", "phone": "1", "city": "London", "street": "St",
    } });
    let (status, placed) = buyer.call(Method::POST, "/api/v1/cart/checkout/", Some(body)).await;
    assert_eq!((status, &placed["status"]), (201, &json!("CREATED")), "{placed}");
    assert!(placed["created_at"].is_string());
    let orders = shop.neighbours.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(placed["order_id"], json!(orders[0].order_id));
    let lines: HashSet<_> = orders[0].items.iter().map(|item| (item.product_id.clone(), item.quantity)).collect();
    assert_eq!(lines, HashSet::from([(desk.to_string(), 1), (lamp.to_string(), 2)]));
    let address = orders[0].shipping_address.clone().expect("an address");
    assert_eq!((address.full_name.as_str(), address.city.as_str()), ("Ada", "London"));
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn twenty_checkouts_at_once_make_one_order_and_get_the_same_answer() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 3).await;
    let answers = futures::future::join_all((0..20).map(|_| buyer.checkout())).await;
    let distinct: HashSet<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    assert_eq!(answers[0].0, 201);
    assert_eq!(shop.neighbours.orders().len(), 1);
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn a_double_click_that_comes_after_the_answer_gets_it_again_until_the_cart_changes() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    let first = buyer.checkout().await;
    assert_eq!(buyer.checkout().await, first);
    buyer.add(desk, 1).await;
    let (status, second) = buyer.checkout().await;
    assert_eq!(status, 201);
    assert_ne!(second["order_id"], first.1["order_id"]);
    assert_eq!(shop.neighbours.orders().len(), 2);
}

#[tokio::test]
async fn a_lost_reply_and_a_retry_make_one_order() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    let (status, problem) = buyer.checkout().await;
    assert_eq!(status, 503, "{problem}");
    assert_eq!(buyer.contents().await, names(&[("desk", 1)]));
    let (status, placed) = buyer.checkout().await;
    assert_eq!((status, shop.neighbours.orders().len()), (201, 1));
    assert_eq!(placed["order_id"], json!(shop.neighbours.orders()[0].order_id));
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn a_buyer_who_is_turned_away_after_a_lost_reply_still_has_one_order() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    assert_eq!(buyer.checkout().await.0, 503);
    shop.neighbours.turn_away_next.store(true, Ordering::SeqCst);
    assert_eq!(buyer.checkout().await.0, 401);
    let (status, placed) = buyer.checkout().await;
    assert_eq!((status, shop.neighbours.orders().len()), (201, 1));
    assert_eq!(placed["order_id"], json!(shop.neighbours.orders()[0].order_id));
}

#[tokio::test]
async fn what_is_added_during_a_checkout_stays() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 1).await;
    shop.neighbours.pause_next.store(true, Ordering::SeqCst);
    let added_meanwhile = async {
        until_calls(&shop, 1).await;
        buyer.add(desk, 2).await;
        buyer.add(lamp, 4).await;
        shop.neighbours.resume.notify_one();
    };
    let ((status, _), ()) = tokio::join!(buyer.checkout(), added_meanwhile);
    assert_eq!(status, 201);
    assert_eq!(shop.neighbours.orders()[0].items.len(), 1);
    assert_eq!(buyer.contents().await, names(&[("desk", 2), ("lamp", 4)]));
}

#[tokio::test]
async fn out_of_stock_names_the_line_and_keeps_the_cart_and_the_next_checkout_is_a_new_one() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 1).await;
    buyer.add(lamp, 5).await;
    shop.neighbours.change(lamp, |product| product.available = 2);
    let (status, problem) = buyer.checkout().await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:out_of_stock")));
    let expected = json!([{ "field": format!("items.{lamp}"), "rule": "out_of_stock", "message": "5 wanted, 2 left" }]);
    assert_eq!(problem["errors"], expected);
    assert_eq!(buyer.contents().await, names(&[("desk", 1), ("lamp", 5)]));

    buyer.call(Method::PUT, &format!("/api/v1/cart/items/{lamp}"), Some(json!({ "quantity": 2 }))).await;
    assert_eq!(buyer.checkout().await.0, 201);
    let calls = shop.neighbours.calls();
    assert_ne!(calls[0], calls[1]);
}

#[tokio::test]
async fn a_refusal_does_not_end_an_attempt_that_another_click_may_still_turn_into_an_order() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.pause_next.store(true, Ordering::SeqCst);
    let others = async {
        until_calls(&shop, 1).await;
        shop.neighbours.change(desk, |product| product.available = 0);
        assert_eq!(buyer.checkout().await.0, 409);
        shop.neighbours.change(desk, |product| product.available = 9);
        shop.neighbours.resume.notify_one();
        assert_eq!(buyer.checkout().await.0, 201);
    };
    let ((status, _), ()) = tokio::join!(buyer.checkout(), others);
    assert_eq!(status, 201);
    let calls: HashSet<String> = shop.neighbours.calls().into_iter().collect();
    assert_eq!((calls.len(), shop.neighbours.orders().len()), (1, 1));
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn a_total_other_than_the_expected_one_is_refused() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.change(desk, |product| product.price_minor = 1_100);
    let with_total = |total: Value| {
        let mut body = order();
        body["expectedTotal"] = total;
        Some(body)
    };
    let (status, problem) = buyer.call(Method::POST, "/api/v1/cart/checkout", with_total(json!(10))).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:price_changed")));
    let (status, problem) = buyer.call(Method::POST, "/api/v1/cart/checkout", with_total(json!(10.999))).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("expectedTotal")));
    assert_eq!(buyer.call(Method::POST, "/api/v1/cart/checkout", with_total(json!(11.0))).await.0, 201);
}

#[tokio::test]
async fn an_incomplete_address_is_refused_naming_every_field_and_an_empty_cart_too() {
    let shop = Shop::open().await;
    let buyer = shop.buyer();
    let (status, problem) = buyer.checkout().await;
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("items")));
    buyer.add(shop.neighbours.sell("desk", 1_000), 1).await;
    let fields = |problem: &Value| -> Vec<String> {
        let errors = problem["errors"].as_array().expect("errors").iter();
        errors.map(|error| error["field"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (status, problem) = buyer.call(Method::POST, "/api/v1/cart/checkout", Some(json!({}))).await;
    assert_eq!(status, 400);
    let all = ["city", "fullName", "phone", "street"].map(|field| format!("shippingAddress.{field}"));
    assert_eq!(fields(&problem), all);
    let mut blank = order();
    blank["shippingAddress"]["city"] = json!("  ");
    let (status, problem) = buyer.call(Method::POST, "/api/v1/cart/checkout", Some(blank)).await;
    assert_eq!((status, fields(&problem)), (400, vec![all[0].clone()]));
    assert!(shop.neighbours.calls().is_empty());
}

#[tokio::test]
async fn after_an_unknown_outcome_what_the_buyer_took_out_is_not_ordered() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 1).await;
    buyer.add(lamp, 1).await;
    shop.neighbours.fail_next.store(true, Ordering::SeqCst);
    assert_eq!(buyer.checkout().await.0, 503);
    buyer.remove(desk).await;
    assert_eq!(buyer.checkout().await.0, 201);
    let orders = shop.neighbours.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].items.len(), &orders[0].items[0].product_id), (1, &lamp.to_string()));
    assert!(buyer.contents().await.is_empty());
}

#[tokio::test]
async fn after_an_unknown_outcome_an_order_that_was_made_is_found_even_from_a_changed_cart() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 2).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    assert_eq!(buyer.checkout().await.0, 503);
    buyer.call(Method::PUT, &format!("/api/v1/cart/items/{desk}"), Some(json!({ "quantity": 1 }))).await;
    buyer.add(lamp, 1).await;
    let (status, placed) = buyer.checkout().await;
    assert_eq!((status, shop.neighbours.orders().len()), (201, 1));
    assert_eq!(placed["order_id"], json!(shop.neighbours.orders()[0].order_id));
    assert_eq!(buyer.contents().await, names(&[("lamp", 1)]));
}

#[tokio::test]
async fn a_checkout_that_is_still_on_its_way_orders_nothing_that_was_taken_out_since() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    buyer.add(desk, 1).await;
    buyer.add(lamp, 1).await;
    shop.neighbours.pause_next.store(true, Ordering::SeqCst);
    let second = async {
        until_calls(&shop, 1).await;
        buyer.remove(desk).await;
        assert_eq!(buyer.checkout().await.0, 201);
        shop.neighbours.resume.notify_one();
    };
    let ((status, problem), ()) = tokio::join!(buyer.checkout(), second);
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:checkout_expired")));
    let orders = shop.neighbours.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].items.len(), &orders[0].items[0].product_id), (1, &lamp.to_string()));
    assert!(buyer.contents().await.is_empty());
}
