//! Checkouts with an idempotency key: one order, however often and under however many order ids they come.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use shop_mesh::from_status;
use shop_proto::{
    events::OrderCanceled,
    orders::{CreateOrderRequest, IdempotencyKey, OrderResponse},
};
use shop_testing::{Neighbours, eventually};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Person, Shop, checkout, pending, unclaimed};

fn key(text: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey { key: text.to_owned(), fingerprint: vec![body; 32] }
}

fn keyed(request: CreateOrderRequest, key: IdempotencyKey) -> CreateOrderRequest {
    CreateOrderRequest { idempotency_key: Some(key), ..request }
}

async fn orders_of(shop: &Shop, buyer: &Person) -> serde_json::Value {
    shop.http(Method::GET, buyer, "/api/v1/orders").await.1["total"].clone()
}

fn code_of(answer: Result<OrderResponse, Status>) -> String {
    from_status("order", answer.unwrap_err()).code().to_owned()
}

async fn released(neighbours: &Neighbours, order: Uuid) {
    eventually("the stock set aside for the order that lost goes back", || async {
        let canceled = neighbours.all::<OrderCanceled>(order);
        let reason = canceled.first().map(|event| event.reason.clone()).unwrap_or_default();
        if ["idempotency_key_used", "checkout_expired"].contains(&reason.as_str()) {
            Ok(())
        } else {
            Err(format!("{canceled:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn one_key_twenty_times_at_once_is_one_order_under_however_many_ids() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 100);
    let ids: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();

    let answers =
        join_all(ids.iter().map(|id| shop.create(&buyer, keyed(checkout(&buyer, *id, &[(kettle, 1)]), key("k", 1)))));
    let answers: Vec<OrderResponse> = answers.await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(orders_of(&shop, &buyer).await, json!(1));

    // Whoever set stock aside for nothing gives it back: at once, or when the catalog asks, because a caller gave up on the way.
    let order: Uuid = answers[0].order_id.parse().unwrap();
    for lost in ids.into_iter().filter(|id| *id != order) {
        neighbours.publish(&unclaimed(&buyer, lost)).await;
        released(&neighbours, lost).await;
    }
}

#[tokio::test]
async fn a_key_gives_the_first_answer_after_the_order_moved_on_and_after_a_restart() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let request = keyed(checkout(&buyer, order, &[(kettle, 1)]), key("k", 1));
    let first = shop.create(&buyer, request.clone()).await.unwrap();
    shop.handled(neighbours.publish(&pending(order)).await).await;
    shop.becomes(&buyer, order, "PENDING").await;

    let shop = shop.restart().await;
    assert_eq!(shop.by_key(&buyer, key("k", 1)).await.unwrap(), first);
    assert_eq!(shop.create(&buyer, request).await.unwrap(), first);
    let elsewhere = keyed(checkout(&buyer, Uuid::now_v7(), &[(kettle, 3)]), key("k", 1));
    assert_eq!(shop.create(&buyer, elsewhere).await.unwrap(), first);
    assert_eq!((shop.catalog.available(kettle), orders_of(&shop, &buyer).await), (9, json!(1)));
}

#[tokio::test]
async fn a_key_is_its_buyers_and_good_for_one_body() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, other) = (shop.buyer(), shop.buyer());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let make = |buyer, order, key| shop.create(buyer, keyed(checkout(buyer, order, &[(kettle, 1)]), key));
    let order = Uuid::now_v7();
    make(&buyer, order, key("k", 1)).await.unwrap();

    assert_eq!(code_of(make(&buyer, Uuid::now_v7(), key("k", 2)).await), "idempotency_key_reused");
    assert_eq!(code_of(make(&buyer, order, key("k", 2)).await), "idempotency_key_reused");
    assert_eq!(code_of(shop.by_key(&buyer, key("k", 2)).await), "idempotency_key_reused");
    assert_eq!(shop.by_key(&other, key("k", 1)).await.unwrap_err().code(), Code::NotFound);
    let others = make(&other, Uuid::now_v7(), key("k", 1)).await.unwrap();
    assert_ne!(others.order_id, order.to_string());
    assert_eq!((orders_of(&shop, &buyer).await, shop.catalog.available(kettle)), (json!(1), 8));

    for bad in [key("", 1), key("two words", 1), IdempotencyKey { fingerprint: vec![1; 31], ..key("k", 1) }] {
        assert_eq!(shop.by_key(&buyer, bad.clone()).await.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(make(&buyer, Uuid::now_v7(), bad).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_second_key_on_the_same_order_id_comes_to_stand_for_that_order() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let make = |key: &str| {
        let key = IdempotencyKey { key: key.to_owned(), fingerprint: vec![1; 32] };
        shop.create(&buyer, keyed(checkout(&buyer, order, &[(kettle, 1)]), key))
    };
    let (first, second) = tokio::join!(make("first-tab"), make("second-tab"));
    assert_eq!(first.unwrap(), second.unwrap());
    for tab in ["first-tab", "second-tab"] {
        assert_eq!(shop.by_key(&buyer, key(tab, 1)).await.unwrap().order_id, order.to_string());
    }
}

#[tokio::test]
async fn a_refused_checkout_does_not_use_up_its_key_and_after_a_day_a_key_is_new_again() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 1);
    let make = |quantity, body| {
        shop.create(&buyer, keyed(checkout(&buyer, Uuid::now_v7(), &[(kettle, quantity)]), key("k", body)))
    };
    assert_eq!(code_of(make(2, 1).await), "out_of_stock");
    let first = make(1, 2).await.unwrap();
    shop.database.advance(Duration::from_hours(24)).await;
    assert_eq!(shop.by_key(&buyer, key("k", 2)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(code_of(make(1, 3).await), "out_of_stock");
    assert_eq!(shop.status(&buyer, first.order_id.parse().unwrap()).await.unwrap().order_id, first.order_id);
}
