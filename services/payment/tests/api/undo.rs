//! An order that is canceled costs nothing.

use shop_proto::events::{PaymentPending, PaymentRefunded, PaymentSucceeded};
use uuid::Uuid;

use crate::harness::{CountingProvider, Shop, TOTAL, canceled, created};

#[tokio::test]
async fn an_order_that_is_canceled_before_it_is_heard_of_is_never_charged() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let service = shop.start(&provider).await;
    let (order, next) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 1).await;
    shop.neighbours.publish(&created(order)).await;
    service.handled("order.created", 1).await;
    // Whatever was to come of it has come when the next order is through.
    shop.neighbours.publish(&created(next)).await;
    shop.neighbours.receive::<PaymentSucceeded>(next).await;
    assert_eq!(shop.neighbours.all::<PaymentPending>(order).len(), 0);
    assert_eq!(provider.books().charges, 1);
}

#[tokio::test]
async fn a_paid_order_that_is_canceled_is_refunded_once() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let service = shop.start(&provider).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    shop.neighbours.receive::<PaymentSucceeded>(order).await;

    let cancel = shop.neighbours.publish(&canceled(order)).await;
    shop.neighbours.publish_as(cancel, &canceled(order)).await;
    let refunded: PaymentRefunded = shop.neighbours.receive(order).await;
    assert_eq!(refunded.amount_minor, TOTAL);
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 3).await;

    let next = Uuid::new_v4();
    shop.neighbours.publish(&created(next)).await;
    shop.neighbours.receive::<PaymentSucceeded>(next).await;
    assert_eq!(shop.neighbours.all::<PaymentRefunded>(order).len(), 1);
    assert_eq!(provider.books().refunds, 1);
}

#[tokio::test]
async fn a_cancel_while_the_money_is_on_its_way_sends_it_back() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let service = shop.start(&provider).await;
    provider.hold_answers();
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    provider.waiting(1).await;
    shop.neighbours.publish(&canceled(order)).await;
    service.handled("order.canceled", 1).await;
    provider.answer();

    shop.neighbours.receive::<PaymentRefunded>(order).await;
    assert!(shop.neighbours.all::<PaymentSucceeded>(order).is_empty(), "nobody is told of a success");
    let books = provider.books();
    assert_eq!((books.charges, books.refunds), (1, 1));
}
