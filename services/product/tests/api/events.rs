//! What the service says and what it does when others say something.

use shop_proto::events::{InventoryRejected, OrderCanceled, OrderPaid};
use shop_testing::eventually;
use uuid::Uuid;

use crate::harness::Shop;

fn paid(order: Uuid) -> OrderPaid {
    OrderPaid { order_id: order.to_string(), ..OrderPaid::default() }
}

fn canceled(order: Uuid) -> OrderCanceled {
    OrderCanceled { order_id: order.to_string(), ..OrderCanceled::default() }
}

/// Waits until the service has handled the event.
async fn handled(shop: &Shop, event: Uuid) {
    eventually("the event is handled", || async {
        let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM inbox WHERE event_id = $1")
            .bind(event)
            .fetch_optional(&shop.database.pool)
            .await
            .map_err(|error| error.to_string())?;
        found.ok_or_else(|| "not in the inbox".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_paid_order_takes_its_stock_once_however_often_it_is_told() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 10).await;
    let order = Uuid::new_v4();
    shop.reserve(&shop.buyer(), order, &[(&product, 4)]).await.unwrap();
    let event = Uuid::new_v4();
    // The same message again, and the same news in another message.
    for id in [event, event, Uuid::new_v4()] {
        shop.publish(id, &paid(order)).await;
        handled(&shop, id).await;
    }
    assert_eq!(shop.stock(&product).await, [6, 0, 6]);
}

#[tokio::test]
async fn a_canceled_order_gives_back_what_it_held_or_had_bought() {
    let shop = Shop::start().await;
    let (seller, buyer) = (shop.seller(), shop.buyer());
    let product = shop.product(&seller, "Lamp", 10).await;
    let (unpaid, bought) = (Uuid::new_v4(), Uuid::new_v4());
    for order in [unpaid, bought] {
        shop.reserve(&buyer, order, &[(&product, 3)]).await.unwrap();
    }
    shop.publish(Uuid::new_v4(), &paid(bought)).await;
    shop.stock_becomes(&product, [7, 3, 4]).await;
    for order in [unpaid, bought] {
        for id in [Uuid::new_v4(), Uuid::new_v4()] {
            shop.publish(id, &canceled(order)).await;
            handled(&shop, id).await;
        }
    }
    assert_eq!(shop.stock(&product).await, [10, 0, 10]);
}

#[tokio::test]
async fn an_order_that_was_canceled_before_it_was_reserved_stays_closed() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 10).await;
    let (order, event) = (Uuid::new_v4(), Uuid::new_v4());
    shop.publish(event, &canceled(order)).await;
    handled(&shop, event).await;
    let fault = shop.reserve(&shop.buyer(), order, &[(&product, 3)]).await.unwrap_err();
    assert_eq!(fault.code(), "reservation_over");
    shop.publish(Uuid::new_v4(), &paid(order)).await;
    assert_eq!(shop.hear::<InventoryRejected>().await.order_id, order.to_string());
    assert_eq!(shop.stock(&product).await, [10, 0, 10]);
}

#[tokio::test]
async fn an_order_that_was_paid_without_a_reservation_is_answered_once_for_each_message() {
    let shop = Shop::start().await;
    let (order, event) = (Uuid::new_v4(), Uuid::new_v4());
    for _ in 0..2 {
        shop.publish(event, &paid(order)).await;
        handled(&shop, event).await;
    }
    assert_eq!(shop.hear::<InventoryRejected>().await.order_id, order.to_string());
    let rejections: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE routing_key = 'inventory.rejected'")
        .fetch_one(&shop.database.pool)
        .await
        .unwrap();
    assert_eq!(rejections, 1);
}

#[tokio::test]
async fn orders_that_are_paid_and_canceled_at_the_same_time_leave_no_stock_behind() {
    let shop = Shop::start().await;
    let (seller, buyer) = (shop.seller(), shop.buyer());
    let (a, b) = (shop.product(&seller, "A", 100).await, shop.product(&seller, "B", 100).await);
    let mut events = Vec::new();
    for _ in 0..20 {
        let order = Uuid::new_v4();
        shop.reserve(&buyer, order, &[(&a, 2), (&b, 1)]).await.unwrap();
        let (paid_id, canceled_id) = (Uuid::new_v4(), Uuid::new_v4());
        let (paid, canceled) = (paid(order), canceled(order));
        tokio::join!(shop.publish(paid_id, &paid), shop.publish(canceled_id, &canceled));
        events.extend([paid_id, canceled_id]);
    }
    for event in events {
        handled(&shop, event).await;
    }
    assert_eq!((shop.stock(&a).await, shop.stock(&b).await), ([100, 0, 100], [100, 0, 100]));
}
