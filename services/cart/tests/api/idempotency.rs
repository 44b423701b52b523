//! `Idempotency-Key`: what is sent again is added once and ordered once, and answered as it was.

use std::{collections::HashSet, sync::atomic::Ordering};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Buyer, Shop, order};

const MOST_KEYS: u64 = 300;
const CHECKOUT: &str = "/api/v1/cart/checkout";

async fn add(buyer: &Buyer<'_>, key: &str, product: Uuid, quantity: u32) -> Answer {
    buyer.keyed("/api/v1/cart", key, &json!({ "productId": product, "quantity": quantity })).await
}

fn problem(code: &str) -> Value {
    json!(format!("urn:shopkeeper:problem:{code}"))
}

#[tokio::test]
async fn what_is_added_twenty_times_with_one_key_is_in_the_cart_once() {
    let shop = Shop::open().await;
    let (buyer, desk, lamp) = (shop.buyer(), shop.neighbours.sell("desk", 1_000), shop.neighbours.sell("lamp", 250));
    let answers = join_all((0..20).map(|_| add(&buyer, "k", desk, 2))).await;
    assert!(answers.iter().all(|(status, cart)| *status == 201 && cart["items"] == answers[0].1["items"]));
    assert_eq!(buyer.contents().await, [("desk".to_owned(), 2)]);

    // Later the answer is still what the first request made of the cart, and the cart stays what it is.
    buyer.add(lamp, 1).await;
    assert_eq!(add(&buyer, "k", desk, 2).await.1["items"], answers[0].1["items"]);
    let (status, reused) = add(&buyer, "k", desk, 3).await;
    assert_eq!((status, &reused["type"]), (409, &problem("idempotency_key_reused")));
    assert_eq!(buyer.contents().await, [("desk".to_owned(), 2), ("lamp".to_owned(), 1)]);

    shop.neighbours.change(desk, |product| product.active = false);
    assert_eq!(add(&buyer, "k", desk, 2).await.0, 201);
    assert_eq!(add(&buyer, "new", desk, 2).await.0, 409);
    let (status, bad) = add(&buyer, "two words", lamp, 1).await;
    assert_eq!((status, &bad["errors"][0]["field"]), (400, &json!("Idempotency-Key")));
    assert_eq!(add(&shop.buyer(), "k", lamp, 1).await.1["items"][0]["productName"], "lamp");
}

#[tokio::test]
async fn a_buyer_who_uses_keys_without_end_is_told_to_stop_and_nobody_else_is() {
    let shop = Shop::open().await;
    let (buyer, other, desk) = (shop.buyer(), shop.buyer(), shop.neighbours.sell("desk", 1_000));
    for n in 0..MOST_KEYS {
        assert_eq!(add(&buyer, &n.to_string(), desk, 1).await.0, 201);
    }
    let (status, problem) = add(&buyer, "one-more", desk, 1).await;
    assert_eq!((status, &problem["type"]), (429, &json!("urn:shopkeeper:problem:too_many_requests")));
    assert_eq!(add(&buyer, "0", desk, 1).await.1["items"][0]["quantity"], 1);
    buyer.add(desk, 1).await;
    assert_eq!(buyer.contents().await, [("desk".to_owned(), MOST_KEYS + 1)]);
    assert_eq!(add(&other, "one-more", desk, 1).await.0, 201);
}

#[tokio::test]
async fn twenty_checkouts_with_one_key_are_one_order_and_one_answer_whatever_becomes_of_the_cart() {
    let mut shop = Shop::open().await;
    let (desk, id) = (shop.neighbours.sell("desk", 1_000), shop.buyer().id);
    let buyer = shop.buyer_again(id);
    buyer.add(desk, 3).await;
    let body = order();
    let answers = join_all((0..20).map(|_| buyer.keyed(CHECKOUT, "k", &body))).await;
    let distinct: HashSet<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!((answers[0].0, distinct.len()), (201, 1), "{distinct:?}");

    buyer.add(desk, 1).await;
    assert_eq!(buyer.keyed(CHECKOUT, "k", &body).await, answers[0]);
    assert_eq!(buyer.contents().await, [("desk".to_owned(), 1)]);
    shop.forget(id).await;
    shop.restart().await;
    let buyer = shop.buyer_again(id);
    assert_eq!(buyer.keyed(CHECKOUT, "k", &body).await, answers[0]);
    assert_eq!(shop.neighbours.orders().len(), 1);
    let other = shop.buyer();
    assert_eq!(other.keyed(CHECKOUT, "k", &body).await.0, 400, "another buyer's key is another key");
}

#[tokio::test]
async fn a_key_with_another_address_is_refused_and_leaves_the_cart_and_its_order_alone() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    assert_eq!(buyer.keyed(CHECKOUT, "k", &order()).await.0, 503);
    let mut elsewhere = order();
    elsewhere["shippingAddress"]["city"] = json!("Paris");
    let (status, reused) = buyer.keyed(CHECKOUT, "k", &elsewhere).await;
    assert_eq!((status, &reused["type"]), (409, &problem("idempotency_key_reused")));

    // The order exists: the same request gets it, and so does any other checkout of that cart.
    let (status, placed) = buyer.keyed(CHECKOUT, "k", &order()).await;
    assert_eq!((status, &placed["order_id"]), (201, &json!(shop.neighbours.orders()[0].order_id)));
    assert!(buyer.contents().await.is_empty());
    assert_eq!(shop.neighbours.orders().len(), 1);
}

#[tokio::test]
async fn two_tabs_with_a_key_each_make_one_order_and_both_keys_stand_for_it() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    assert_eq!(buyer.keyed(CHECKOUT, "first", &order()).await.0, 503);
    let second = buyer.keyed(CHECKOUT, "second", &order()).await;
    assert_eq!(second.0, 201);
    buyer.add(desk, 1).await;
    for tab in ["first", "second"] {
        assert_eq!(buyer.keyed(CHECKOUT, tab, &order()).await, second);
    }
    assert_eq!(shop.neighbours.orders().len(), 1);
    // A new key is a new checkout.
    let (status, third) = buyer.keyed(CHECKOUT, "third", &order()).await;
    assert_eq!((status, shop.neighbours.orders().len()), (201, 2));
    assert_ne!(third["order_id"], second.1["order_id"]);
    assert_eq!(buyer.keyed(CHECKOUT, "fourth", &order()).await.0, 400, "nothing is left to order");
}

#[tokio::test]
async fn a_refused_checkout_does_not_use_up_its_key() {
    let shop = Shop::open().await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 2).await;
    shop.neighbours.change(desk, |product| product.available = 1);
    assert_eq!(buyer.keyed(CHECKOUT, "k", &order()).await.0, 409);
    buyer.call(Method::PUT, &format!("/api/v1/cart/items/{desk}"), Some(json!({ "quantity": 1 }))).await;
    assert_eq!(buyer.keyed(CHECKOUT, "k", &order()).await.0, 201);
    assert_eq!(shop.neighbours.orders().len(), 1);
}
