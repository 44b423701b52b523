//! An order is paid once, whatever happens.

use std::{sync::Arc, time::Duration};

use shop_proto::events::{PaymentPending, PaymentSucceeded};
use shop_testing::TestWorld;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::harness::{CountingProvider, Shop, TOTAL, created, start};

#[tokio::test]
async fn an_order_that_is_announced_five_times_is_charged_once_and_told_of_once() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let service = shop.start(&provider).await;
    let order = Uuid::new_v4();
    let event = shop.neighbours.publish(&created(order)).await;
    for id in [event, event, Uuid::new_v4(), Uuid::new_v4()] {
        shop.neighbours.publish_as(id, &created(order)).await;
    }
    service.handled("order.created", 5).await;

    let paid: PaymentSucceeded = shop.neighbours.receive(order).await;
    assert_eq!((paid.amount_minor, paid.currency.as_str()), (TOTAL, "USD"));
    assert_eq!(shop.neighbours.all::<PaymentPending>(order).len(), 1);
    assert_eq!(shop.neighbours.all::<PaymentSucceeded>(order).len(), 1);
    assert_eq!(provider.books().charges, 1);
}

#[tokio::test]
async fn orders_do_not_queue_behind_each_other() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    provider.hold_answers();
    let orders: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    for order in &orders {
        shop.neighbours.publish(&created(*order)).await;
    }
    provider.waiting(20).await;
    provider.answer();
    for order in orders {
        shop.neighbours.receive::<PaymentSucceeded>(order).await;
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_again() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    provider.fail(1, 0);
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    shop.neighbours.receive::<PaymentSucceeded>(order).await;
    assert_eq!(provider.books().charges, 1);
}

#[tokio::test]
async fn a_service_that_dies_between_the_charge_and_its_commit_charges_no_second_time() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    provider.hold_answers();
    // A runtime that is shut down drops its tasks wherever they are, as the end of the process would.
    let doomed = Runtime::new().unwrap();
    doomed.spawn(start(shop.config(), Arc::clone(&provider), Arc::new(TestWorld::new(1)))).await.unwrap();
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    provider.waiting(1).await;
    doomed.shutdown_background();
    assert_eq!(provider.books().charges, 1);

    provider.answer();
    shop.database.advance(Duration::from_mins(2)).await;
    start(shop.config(), Arc::clone(&provider), Arc::new(TestWorld::new(2))).await;
    shop.neighbours.receive::<PaymentSucceeded>(order).await;
    assert_eq!(provider.books().charges, 1);
}
