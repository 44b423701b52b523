//! What the neighbours' events do to an order.

use serde_json::json;
use shop_mesh::from_status;
use shop_proto::events::{DeliveryFailed, InventoryRejected, OrderPaid, PaymentFailed, PaymentRefunded};
use uuid::Uuid;

use crate::harness::{Shop, checkout, delivered, pending, reasons, shipped, succeeded, unclaimed};

#[tokio::test]
async fn an_order_is_paid_shipped_and_delivered_and_every_step_is_told() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;

    neighbours.publish(&pending(order)).await;
    assert_eq!(shop.becomes(&buyer, order, "PENDING").await["payment_status"], "pending");
    neighbours.publish(&succeeded(order)).await;
    assert_eq!(shop.becomes(&buyer, order, "PAID").await["payment_status"], "paid");
    neighbours.publish(&shipped(order)).await;
    shop.becomes(&buyer, order, "SHIPPED").await;
    neighbours.publish(&delivered(order)).await;
    let view = shop.becomes(&buyer, order, "DELIVERED").await;

    assert_eq!(reasons(&view), ["placed", "payment_pending", "payment_succeeded", "shipped", "delivered"]);
    shop.tells(&neighbours, order, &["order.created", "order.paid", "order.shipped", "order.delivered"]).await;
    let paid: OrderPaid = neighbours.receive(order).await;
    let address = paid.shipping_address.clone().unwrap_or_default();
    assert_eq!((paid.user_id, paid.total_minor, paid.currency.as_str()), (buyer.id.to_string(), 1999, "USD"));
    assert_eq!((address.full_name.as_str(), address.city.as_str()), ("Ada Lovelace", "London"));
    assert_eq!((address.phone.as_str(), address.street.as_str()), ("+44 20 7946 0000", "12 St James's Square"));
}

#[tokio::test]
async fn duplicates_and_older_events_change_nothing() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    let shipping = neighbours.publish(&shipped(order)).await;
    shop.handled(shipping).await;
    let before = shop.view(&buyer, order).await;

    neighbours.publish_as(shipping, &shipped(order)).await;
    for event in [
        neighbours.publish(&shipped(order)).await,
        neighbours.publish(&succeeded(order)).await,
        neighbours.publish(&pending(order)).await,
        neighbours.publish(&PaymentFailed { order_id: order.to_string(), ..PaymentFailed::default() }).await,
        neighbours.publish(&InventoryRejected { order_id: order.to_string(), ..InventoryRejected::default() }).await,
    ] {
        shop.handled(event).await;
    }
    shop.counts(r#"order_events_dropped_total{event="delivery.shipped",why="duplicate"} 1"#).await;
    shop.counts(r#"order_events_dropped_total{event="delivery.shipped",why="older"} 1"#).await;
    assert_eq!(shop.view(&buyer, order).await, before);
    shop.tells(&neighbours, order, &["order.created", "order.paid", "order.shipped"]).await;
}

#[tokio::test]
async fn a_delivery_that_is_told_before_its_shipping_is_both() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;

    neighbours.publish(&delivered(order)).await;
    shop.becomes(&buyer, order, "DELIVERED").await;
    shop.handled(neighbours.publish(&shipped(order)).await).await;
    let view = shop.becomes(&buyer, order, "DELIVERED").await;
    assert_eq!(reasons(&view), ["placed", "payment_succeeded", "shipped", "delivered"]);
    shop.tells(&neighbours, order, &["order.created", "order.paid", "order.shipped", "order.delivered"]).await;
}

#[tokio::test]
async fn a_declined_payment_cancels_the_order() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;
    neighbours.publish(&PaymentFailed { order_id: order.to_string(), ..PaymentFailed::default() }).await;
    let view = shop.becomes(&buyer, order, "CANCELED").await;
    assert_eq!(view["payment_status"], "failed");
    shop.cancels(&neighbours, order, "payment_failed").await;
}

#[tokio::test]
async fn a_payment_that_comes_after_the_end_is_refunded() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;
    assert_eq!(shop.cancel(&buyer, order).await.0, 202);

    shop.handled(neighbours.publish(&succeeded(order)).await).await;
    let view = shop.view(&buyer, order).await;
    assert_eq!((&view["status"], &view["payment_status"]), (&json!("CANCELED"), &json!("refunding")));
    assert_eq!(reasons(&view), ["placed", "canceled_by_user", "paid_after_cancel"]);
    shop.tells(&neighbours, order, &["order.created", "order.canceled", "order.canceled"]).await;
    shop.cancels(&neighbours, order, "paid_after_cancel").await;

    let refunded = PaymentRefunded { order_id: order.to_string(), ..PaymentRefunded::default() };
    shop.handled(neighbours.publish(&refunded).await).await;
    let view = shop.view(&buyer, order).await;
    assert_eq!((&view["status"], &view["payment_status"]), (&json!("CANCELED"), &json!("refunded")));

    shop.handled(neighbours.publish(&succeeded(order)).await).await;
    shop.tells(&neighbours, order, &["order.created", "order.canceled", "order.canceled"]).await;
}

#[tokio::test]
async fn a_parcel_that_leaves_after_the_end_is_recalled() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    assert_eq!(shop.cancel(&buyer, order).await.0, 202);
    shop.handled(neighbours.publish(&shipped(order)).await).await;
    assert_eq!(shop.view(&buyer, order).await["status"], "CANCELED");
    shop.tells(&neighbours, order, &["order.created", "order.paid", "order.canceled", "order.canceled"]).await;
    shop.cancels(&neighbours, order, "shipped_after_cancel").await;
}

#[tokio::test]
async fn a_paid_order_without_stock_or_delivery_is_canceled_and_refunded() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let without_stock = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    let without_delivery = shop.pay_for_a_kettle(&buyer, &neighbours).await;

    let rejected = InventoryRejected { order_id: without_stock.to_string(), ..InventoryRejected::default() };
    let failed = DeliveryFailed { order_id: without_delivery.to_string(), ..DeliveryFailed::default() };
    neighbours.publish(&rejected).await;
    neighbours.publish(&failed).await;
    for (order, reason) in [(without_stock, "inventory_rejected"), (without_delivery, "delivery_failed")] {
        assert_eq!(shop.becomes(&buyer, order, "CANCELED").await["payment_status"], "refunding");
        shop.cancels(&neighbours, order, reason).await;
    }
}

#[tokio::test]
async fn a_parcel_that_comes_back_ends_its_order_and_sends_the_money_back() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.pay_for_a_kettle(&buyer, &neighbours).await;
    shop.handled(neighbours.publish(&shipped(order)).await).await;
    neighbours.publish(&DeliveryFailed { order_id: order.to_string(), ..DeliveryFailed::default() }).await;

    let view = shop.becomes(&buyer, order, "CANCELED").await;
    assert_eq!(view["payment_status"], "refunding");
    assert_eq!(reasons(&view), ["placed", "payment_succeeded", "shipped", "delivery_failed"]);
    shop.tells(&neighbours, order, &["order.created", "order.paid", "order.shipped", "order.canceled"]).await;
    shop.cancels(&neighbours, order, "delivery_failed").await;
}

#[tokio::test]
async fn every_kind_of_message_counts_once_however_often_it_comes() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    // What an order has heard before, the message, and where it then is.
    for (before, kind, becomes) in [
        (vec![], "payment.pending", ("PENDING", "pending")),
        (vec![], "payment.succeeded", ("PAID", "paid")),
        (vec![], "payment.failed", ("CANCELED", "failed")),
        (vec!["payment.failed"], "payment.refunded", ("CANCELED", "refunded")),
        (vec!["payment.succeeded"], "delivery.shipped", ("SHIPPED", "paid")),
        (vec!["payment.succeeded"], "delivery.delivered", ("DELIVERED", "paid")),
        (vec!["payment.succeeded"], "delivery.failed", ("CANCELED", "refunding")),
        (vec!["payment.succeeded"], "inventory.rejected", ("CANCELED", "refunding")),
    ] {
        let order = shop.order_a_kettle(&buyer).await;
        let payload = json!({"orderId": order, "amountMinor": 1999, "currency": "USD", "ofALaterRelease": 1});
        for kind in before {
            let id = Uuid::new_v4();
            neighbours.publish_json(id, kind, None, &payload).await;
            shop.handled(id).await;
        }
        let (first, again) = (Uuid::new_v4(), Uuid::new_v4());
        neighbours.publish_json(first, kind, None, &payload).await;
        shop.handled(first).await;
        let view = shop.view(&buyer, order).await;
        assert_eq!((&view["status"], &view["payment_status"]), (&json!(becomes.0), &json!(becomes.1)), "{kind}");
        for id in [first, again] {
            neighbours.publish_json(id, kind, None, &payload).await;
        }
        shop.handled(again).await;
        shop.counts(&format!(r#"order_events_dropped_total{{event="{kind}",why="duplicate"}} 1"#)).await;
        assert_eq!(shop.view(&buyer, order).await, view, "{kind}");
    }
}

#[tokio::test]
async fn a_payment_of_another_amount_or_for_no_order_is_parked() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let order = shop.order_a_kettle(&buyer).await;

    let mut cheap = succeeded(order);
    cheap.amount_minor = 1;
    neighbours.publish(&cheap).await;
    neighbours.parked("order", 1).await;
    neighbours.publish(&succeeded(Uuid::now_v7())).await;
    neighbours.parked("order", 2).await;
    let mut nameless = succeeded(order);
    nameless.order_id = "1".to_owned();
    neighbours.publish(&nameless).await;
    neighbours.parked("order", 3).await;
    assert_eq!(shop.view(&buyer, order).await["status"], "CREATED");
}

#[tokio::test]
async fn stock_that_is_asked_after_goes_back_for_a_checkout_that_made_no_order_and_stays_with_an_order() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, abandoned) = (shop.buyer(), Uuid::now_v7());
    let (placed, paid) = (shop.order_a_kettle(&buyer).await, shop.pay_for_a_kettle(&buyer, &neighbours).await);
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    shop.catalog.reserve_for(abandoned, kettle, 1);
    for order in [abandoned, placed, paid] {
        let event = neighbours.publish(&unclaimed(&buyer, order)).await;
        shop.handled(event).await;
        neighbours.publish_as(event, &unclaimed(&buyer, order)).await;
        shop.handled(neighbours.publish(&unclaimed(&buyer, order)).await).await;
    }
    shop.tells(&neighbours, abandoned, &["order.canceled"]).await;
    shop.cancels(&neighbours, abandoned, "checkout_expired").await;
    shop.tells(&neighbours, placed, &["order.created"]).await;
    shop.tells(&neighbours, paid, &["order.created", "order.paid"]).await;

    let status = shop.create(&buyer, checkout(&buyer, abandoned, &[(kettle, 1)])).await.unwrap_err();
    assert_eq!(from_status("order", status).code(), "checkout_expired");
    shop.tells(&neighbours, abandoned, &["order.canceled"]).await;
}

#[tokio::test]
async fn a_checkout_that_is_asked_after_at_that_moment_makes_an_order_or_gives_its_stock_back_and_never_both() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 100);
    for _ in 0..20 {
        let (order, question) = (Uuid::now_v7(), Uuid::new_v4());
        shop.catalog.reserve_for(order, kettle, 1);
        let asked = unclaimed(&buyer, order);
        let (made, ()) = tokio::join!(
            shop.create(&buyer, checkout(&buyer, order, &[(kettle, 1)])),
            neighbours.publish_as(question, &asked)
        );
        shop.handled(question).await;
        let told = if made.is_ok() { "order.created" } else { "order.canceled" };
        shop.tells(&neighbours, order, &[told]).await;
    }
}
