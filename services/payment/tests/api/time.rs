//! What clocks do to payments, and what has served its time. A payment's times are those of its database.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use shop_proto::events::{PaymentFailed, PaymentRefunded, PaymentSucceeded};
use shop_testing::{TestWorld, eventually};
use uuid::Uuid;

use crate::harness::{CountingProvider, Shop, TOTAL, canceled, created, created_until, start};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn processes_whose_clocks_are_years_off_charge_every_order_once_and_refund_none() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    provider.hold_answers();
    let (mut services, mut orders) = (Vec::new(), Vec::new());
    for (seed, years) in [(1, 0), (2, 3), (3, -3)] {
        let world = TestWorld::new(seed);
        world.jump(SignedDuration::from_hours(years * 365 * 24));
        services.push(start(shop.config(), Arc::clone(&provider), Arc::new(world)).await);
        // Captures are under way while a process with another clock looks for work.
        for _ in 0..5 {
            let order = Uuid::new_v4();
            shop.neighbours.publish(&created(order)).await;
            orders.push(order);
        }
        provider.waiting(orders.len()).await;
    }
    provider.answer();
    for order in &orders {
        shop.neighbours.receive::<PaymentSucceeded>(*order).await;
        assert!(shop.neighbours.all::<PaymentFailed>(*order).is_empty());
    }
    let books = provider.books();
    assert_eq!((books.charges, books.refunds), (orders.len(), 0));
}

#[tokio::test]
async fn what_a_process_hears_after_its_lease_counts_for_nothing() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    provider.hold_answers();
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    provider.waiting(1).await;
    // The process was frozen: its lease is over, and so is the time to pay. Whoever has the payment now asks it back.
    provider.hold_refunds();
    shop.database.advance(HOUR).await;
    provider.until("the money is given back", |books| books.refunds == 1).await;
    provider.answer();
    provider.waiting(0).await;
    // Whatever was to come of that answer has come when the next order is through.
    let next = Uuid::new_v4();
    shop.neighbours.publish(&created_until(next, Timestamp::now() + 2 * HOUR)).await;
    shop.neighbours.receive::<PaymentSucceeded>(next).await;
    provider.answer_refunds();
    shop.neighbours.receive::<PaymentFailed>(order).await;
    shop.neighbours.receive::<PaymentRefunded>(order).await;
    assert!(shop.neighbours.all::<PaymentSucceeded>(order).is_empty());
}

#[tokio::test]
async fn by_a_database_that_is_an_hour_ahead_an_order_has_expired_and_costs_nothing() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    shop.database.advance(HOUR).await;
    let _service = shop.start(&provider).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    assert_eq!(shop.neighbours.receive::<PaymentFailed>(order).await.reason, "expired");
    assert_eq!(provider.books().charges, 0);
}

#[tokio::test]
async fn by_a_database_that_is_an_hour_behind_an_order_is_charged_late_and_refunded() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    let order = Uuid::new_v4();
    // By the order's clock this is in ten minutes.
    shop.neighbours.publish(&created_until(order, Timestamp::now() + Duration::from_mins(70))).await;
    shop.neighbours.receive::<PaymentSucceeded>(order).await;
    shop.neighbours.publish(&canceled(order)).await;
    shop.neighbours.receive::<PaymentRefunded>(order).await;
    let books = provider.books();
    assert_eq!((books.charges, books.refunds), (1, 1));
}

#[tokio::test]
async fn an_order_that_expires_while_the_provider_is_away_is_not_charged_when_it_is_back() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    provider.fail(usize::MAX, 1);
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    provider.until("a capture has failed", |books| books.failures > 0).await;
    shop.database.advance(HOUR).await;
    assert_eq!(shop.neighbours.receive::<PaymentFailed>(order).await.reason, "expired");
    assert_eq!(provider.books().charges, 0);
}

#[tokio::test]
async fn what_took_no_money_is_forgotten_after_a_month_and_what_took_some_is_not() {
    let shop = Shop::open().await;
    let rule = format!(r#"[{{"when": {{"amountAbove": {TOTAL}}}, "then": "Decline"}}]"#);
    let service = shop.start_mock(&rule).await;
    let (paid, refunded, declined) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    for order in [paid, refunded] {
        shop.neighbours.publish(&created(order)).await;
        shop.neighbours.receive::<PaymentSucceeded>(order).await;
    }
    shop.neighbours.publish(&canceled(refunded)).await;
    shop.neighbours.receive::<PaymentRefunded>(refunded).await;
    let mut dear = created(declined);
    dear.total_minor += 1;
    shop.neighbours.publish(&dear).await;
    shop.neighbours.receive::<PaymentFailed>(declined).await;
    service.stop().await;

    shop.database.advance(30 * DAY).await;
    let service = shop.start_mock(&rule).await;
    eventually("the sweep is at work", || async {
        if count(&shop, "inbox").await == 0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!((count(&shop, "payments").await, count(&shop, "mock_charges").await), (3, 3));
    service.stop().await;

    shop.database.advance(2 * DAY).await;
    let _service = shop.start_mock(&rule).await;
    eventually("the paid order is left alone", || async {
        let left =
            [count(&shop, "payments").await, count(&shop, "mock_charges").await, count(&shop, "mock_calls").await];
        if left == [1, 1, 0] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert_eq!(shop.booked(paid).await, [("captured".to_owned(), TOTAL)]);

    // Somebody replays a dead letter of that time: it is not charged again, but kept for people.
    shop.neighbours.publish(&created(refunded)).await;
    shop.neighbours.parked("payment", 1).await;
    assert!(shop.booked(refunded).await.is_empty());
    // And a cancel of the order that was paid still gives the money back.
    shop.neighbours.publish(&canceled(paid)).await;
    shop.neighbours.receive::<PaymentRefunded>(paid).await;
}

#[tokio::test]
async fn more_than_one_batch_is_swept_and_nothing_that_is_younger() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let fill = "INSERT INTO inbox (event_id, handled_at)
                SELECT gen_random_uuid(), now() - make_interval(days => 6 + number % 2 * 2) FROM generate_series(1, 5000) number";
    sqlx::query(fill).execute(&shop.database.pool).await.unwrap();
    let _service = shop.start(&provider).await;
    eventually("half of it is gone", || async {
        let left = count(&shop, "inbox").await;
        if left == 2500 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

async fn count(shop: &Shop, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(query).fetch_one(&shop.database.pool).await.expect("a table")
}
