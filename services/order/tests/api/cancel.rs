//! Orders that end without delivery: the buyer cancels, or nobody pays.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use shop_proto::events::PaymentFailed;
use shop_testing::eventually;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{EXPIRY, Shop, checkout, pending, reasons};

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
    for (kind, status) in [("delivery.shipped", "SHIPPED"), ("delivery.delivered", "DELIVERED")] {
        let id = Uuid::new_v4();
        neighbours.publish_json(id, kind, None, &json!({"orderId": order})).await;
        shop.handled(id).await;
        let (refused, problem) = shop.cancel(&buyer, order).await;
        assert_eq!((refused, &problem["type"]), (409, &json!("urn:shopkeeper:problem:not_cancelable")));
        assert_eq!(shop.view(&buyer, order).await["status"], status);
    }
}

#[tokio::test]
async fn a_payment_that_is_refused_after_the_cancel_is_noted_and_changes_nothing_else() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;
    shop.handled(neighbours.publish(&pending(order)).await).await;
    assert_eq!(shop.cancel(&buyer, order).await.1["payment_status"], "pending");
    shop.handled(neighbours.publish(&PaymentFailed { order_id: order.to_string(), ..PaymentFailed::default() }).await)
        .await;

    let view = shop.view(&buyer, order).await;
    assert_eq!((&view["status"], &view["payment_status"]), (&json!("CANCELED"), &json!("failed")));
    assert_eq!(reasons(&view), ["placed", "payment_pending", "canceled_by_user"]);
    shop.tells(&neighbours, order, &["order.created", "order.canceled"]).await;
}

#[tokio::test]
async fn a_refused_checkout_is_forgotten_after_a_week_and_an_order_never() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, refused) = (shop.buyer(), Uuid::now_v7());
    let order = shop.order_a_kettle(&buyer).await;
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let mut request = checkout(&buyer, refused, &[(kettle, 1)]);
    request.expected_total_minor = Some(1);
    assert_eq!(shop.create(&buyer, request).await.unwrap_err().code(), Code::FailedPrecondition);

    shop.database.advance(Duration::from_hours(8 * 24)).await;
    let _replica = shop.replica().await;
    eventually("only the order's id is taken", || async {
        let query = sqlx::query_scalar("SELECT order_id FROM order_attempts");
        let taken: Vec<Uuid> = query.fetch_all(&shop.database.pool).await.unwrap();
        if taken == [order] { Ok(()) } else { Err(format!("{taken:?}")) }
    })
    .await;
    assert_eq!(shop.becomes(&buyer, order, "CANCELED").await["history"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_order_nobody_pays_in_time_expires_and_a_paid_one_does_not() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let paid = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    let (created, waiting) = (shop.order_a_kettle(&buyer).await, shop.order_a_kettle(&buyer).await);
    shop.handled(neighbours.publish(&pending(waiting)).await).await;
    shop.database.advance(EXPIRY + Duration::from_secs(1)).await;
    let fresh = shop.order_a_kettle(&buyer).await;

    for order in [created, waiting] {
        let view = shop.becomes(&buyer, order, "CANCELED").await;
        assert_eq!(reasons(&view).last(), Some(&"expired"));
        shop.cancels(&neighbours, order, "expired").await;
    }
    assert_eq!(shop.view(&buyer, paid).await["status"], "PAID");
    assert_eq!(shop.view(&buyer, fresh).await["status"], "CREATED");
}
