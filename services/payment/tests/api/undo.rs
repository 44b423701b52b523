//! An order that is canceled costs nothing.

use shop_proto::events::{PaymentPending, PaymentRefunded, PaymentSucceeded};
use shop_testing::eventually;
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
async fn in_whatever_order_creation_and_cancel_are_told_nothing_stays_charged() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let service = shop.start(&provider).await;
    shop.neighbours.publish_in_every_order(created, canceled).await;
    service.handled("order.created", 12).await;
    service.handled("order.canceled", 12).await;
    eventually("nothing is charged or about to be", || async {
        let open = "SELECT count(*) FROM payments WHERE state NOT IN ('canceled', 'refunded')";
        let open: i64 = sqlx::query_scalar(open).fetch_one(&shop.database.pool).await.unwrap();
        if open == 0 { Ok(()) } else { Err(format!("{open} payments are open")) }
    })
    .await;
    let books = provider.books();
    assert_eq!((books.charges, books.taken.values().any(|here| *here)), (books.refunds, false));
}

#[tokio::test]
async fn a_refund_that_fails_is_tried_until_the_money_is_back() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    shop.neighbours.receive::<PaymentSucceeded>(order).await;
    provider.fail(0, 2);
    shop.neighbours.publish(&canceled(order)).await;
    shop.neighbours.receive::<PaymentRefunded>(order).await;
    let books = provider.books();
    assert_eq!((books.failures, books.refunds), (2, 1));
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
