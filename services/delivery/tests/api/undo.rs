//! An order that is canceled does not arrive.

use std::time::Duration;

use shop_proto::events::{DeliveryDelivered, DeliveryShipped};
use shop_testing::eventually;
use uuid::Uuid;

use crate::harness::{CountingCarrier, Shop, canceled, paid};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn an_order_that_is_canceled_before_it_is_paid_never_ships() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::ZERO));
    let service = shop.start(&carrier).await;
    let (order, next) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 1).await;
    shop.neighbours.publish(&paid(order)).await;
    service.handled("order.paid", 1).await;
    // Whatever was to come of it has come when the next order is through.
    shop.neighbours.publish(&paid(next)).await;
    shop.neighbours.receive::<DeliveryDelivered>(next).await;
    assert!(shop.neighbours.all::<DeliveryShipped>(order).is_empty());
    assert_eq!(carrier.books().shipments, 1);
}

#[tokio::test]
async fn a_parcel_whose_order_is_canceled_is_called_back_once_and_does_not_arrive() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(HOUR));
    let service = shop.start(&carrier).await;
    let (order, next) = (Uuid::new_v4(), Uuid::new_v4());
    for order in [order, next] {
        shop.neighbours.publish(&paid(order)).await;
        shop.neighbours.receive::<DeliveryShipped>(order).await;
    }
    let cancel = shop.neighbours.publish(&canceled(order)).await;
    shop.neighbours.publish_as(cancel, &canceled(order)).await;
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 3).await;
    carrier.until("the parcel is called back", |books| books.recalls == 1).await;

    shop.database.advance(2 * HOUR).await;
    shop.neighbours.receive::<DeliveryDelivered>(next).await;
    assert!(shop.neighbours.all::<DeliveryDelivered>(order).is_empty());
    assert_eq!(carrier.books().recalls, 1);
}

#[tokio::test]
async fn in_whatever_order_payment_and_cancel_are_told_nothing_stays_out_there() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(HOUR));
    let service = shop.start(&carrier).await;
    shop.neighbours.publish_in_every_order(paid, canceled).await;
    service.handled("order.paid", 12).await;
    service.handled("order.canceled", 12).await;
    eventually("nothing is on its way or about to be", || async {
        let open = "SELECT count(*) FROM deliveries WHERE state NOT IN ('canceled', 'recalled')";
        let open: i64 = sqlx::query_scalar(open).fetch_one(&shop.database.pool).await.unwrap();
        if open == 0 { Ok(()) } else { Err(format!("{open} deliveries are open")) }
    })
    .await;
    let books = carrier.books();
    assert_eq!((books.shipments, books.parcels.values().any(|out| *out)), (books.recalls, false));
}

#[tokio::test]
async fn a_cancel_while_the_parcel_is_being_shipped_calls_it_back() {
    let (shop, carrier) = (Shop::open().await, CountingCarrier::new(Duration::ZERO));
    let service = shop.start(&carrier).await;
    carrier.hold_answers();
    let (order, next) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish(&paid(order)).await;
    carrier.until("the parcel is being shipped", |books| books.waiting == 1).await;
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 1).await;
    carrier.answer();
    carrier.until("the parcel is called back", |books| books.recalls == 1).await;

    shop.neighbours.publish(&paid(next)).await;
    shop.neighbours.receive::<DeliveryDelivered>(next).await;
    assert!(shop.neighbours.all::<DeliveryShipped>(order).is_empty(), "nobody is told of a shipment");
}
