//! An order is shipped once, whatever happens.

use std::{sync::Arc, time::Duration};

use shop_proto::events::{DeliveryDelivered, DeliveryShipped};
use shop_testing::TestWorld;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::harness::{CountingCarrier, Shop, paid, start};

#[tokio::test]
async fn an_order_that_is_paid_five_times_is_shipped_once_and_then_delivered_once() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::ZERO));
    let service = shop.start(&carrier).await;
    let order = Uuid::new_v4();
    let event = shop.neighbours.publish(&paid(order)).await;
    for id in [event, event, Uuid::new_v4(), Uuid::new_v4()] {
        shop.neighbours.publish_as(id, &paid(order)).await;
    }
    service.handled("order.paid", 5).await;

    shop.neighbours.receive::<DeliveryDelivered>(order).await;
    let published: Vec<String> = shop.neighbours.seen(order).into_iter().map(|event| event.kind).collect();
    let of_delivery: Vec<&str> = published.iter().map(String::as_str).filter(|kind| *kind != "order.paid").collect();
    assert_eq!(of_delivery, ["delivery.shipped", "delivery.delivered"]);
    assert_eq!(carrier.books().shipments, 1);
}

#[tokio::test]
async fn orders_do_not_queue_behind_each_other() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::ZERO));
    let _service = shop.start(&carrier).await;
    carrier.hold_answers();
    let orders: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    for order in &orders {
        shop.neighbours.publish(&paid(*order)).await;
    }
    carrier.until("twenty parcels are being shipped at once", |books| books.waiting == 20).await;
    carrier.answer();
    for order in orders {
        shop.neighbours.receive::<DeliveryDelivered>(order).await;
    }
}

#[tokio::test]
async fn a_parcel_arrives_when_its_time_has_come_and_not_before() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::from_hours(1)));
    let _service = shop.start(&carrier).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    shop.neighbours.receive::<DeliveryShipped>(order).await;
    assert!(shop.neighbours.all::<DeliveryDelivered>(order).is_empty());
    shop.database.advance(Duration::from_secs(3601)).await;
    shop.neighbours.receive::<DeliveryDelivered>(order).await;
}

#[tokio::test]
async fn a_service_that_dies_between_the_shipment_and_its_commit_ships_no_second_time() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::ZERO));
    carrier.hold_answers();
    // A runtime that is shut down drops its tasks wherever they are, as the end of the process would.
    let doomed = Runtime::new().unwrap();
    doomed.spawn(start(shop.config(), Arc::clone(&carrier), shop.world.clone())).await.unwrap();
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    carrier.until("the parcel is being shipped", |books| books.waiting == 1).await;
    doomed.shutdown_background();

    carrier.answer();
    shop.database.advance(Duration::from_mins(2)).await;
    start(shop.config(), Arc::clone(&carrier), Arc::new(TestWorld::new(2))).await;
    shop.neighbours.receive::<DeliveryDelivered>(order).await;
    assert_eq!(carrier.books().shipments, 1);
    assert_eq!(shop.neighbours.all::<DeliveryShipped>(order).len(), 1);
}
