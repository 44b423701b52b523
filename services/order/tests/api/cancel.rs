//! Orders that end without delivery: the buyer cancels, or nobody pays.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::harness::{EXPIRY, Shop, pending, reasons, shipped};

#[tokio::test]
async fn an_unpaid_order_is_canceled_at_once_however_often_it_is_asked() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;

    for (status, body) in join_all((0..10).map(|_| shop.cancel(&buyer, order))).await {
        assert_eq!(status, 202);
        assert_eq!(body, json!({"id": order, "status": "CANCELED", "payment_status": "none"}));
    }
    assert_eq!(reasons(&shop.view(&buyer, order).await), ["placed", "canceled_by_user"]);
    shop.tells(&neighbours, order, &["order.created", "order.canceled"]).await;
    shop.cancels(&neighbours, order, "canceled_by_user").await;
}

#[tokio::test]
async fn a_paid_order_is_canceled_and_its_money_on_the_way_back() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;

    let (status, body) = shop.cancel(&buyer, order).await;
    assert_eq!((status, &body["payment_status"]), (202, &json!("refunding")));
    shop.cancels(&neighbours, order, "canceled_by_user").await;
}

#[tokio::test]
async fn an_order_on_its_way_cannot_be_canceled() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    shop.handled(neighbours.publish(&shipped(order)).await).await;

    let (status, problem) = shop.cancel(&buyer, order).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:not_cancelable")));
    assert_eq!(shop.view(&buyer, order).await["status"], "SHIPPED");
}

#[tokio::test]
async fn an_order_nobody_pays_in_time_expires_and_a_paid_one_does_not() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let paid = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    let (created, waiting) = (shop.order_a_kettle(&buyer).await, shop.order_a_kettle(&buyer).await);
    shop.handled(neighbours.publish(&pending(waiting)).await).await;
    shop.world.advance(EXPIRY + Duration::from_secs(1));
    let fresh = shop.order_a_kettle(&buyer).await;

    for order in [created, waiting] {
        let view = shop.becomes(&buyer, order, "CANCELED").await;
        assert_eq!(reasons(&view).last(), Some(&"expired"));
        shop.cancels(&neighbours, order, "expired").await;
    }
    assert_eq!(shop.view(&buyer, paid).await["status"], "PAID");
    assert_eq!(shop.view(&buyer, fresh).await["status"], "CREATED");
}
