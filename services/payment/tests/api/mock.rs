//! The provider that ships with the service, and what comes of its ways to misbehave.

use shop_core::Money;
use shop_payment::provider::{Capture, Charge, MockProvider, PaymentProvider as _, Refund};
use shop_proto::events::{PaymentFailed, PaymentRefunded, PaymentSucceeded};
use uuid::Uuid;

use crate::harness::{Shop, TOTAL, canceled, created};

fn once(entry: &str) -> Vec<(String, i64)> {
    vec![(entry.to_owned(), TOTAL)]
}

#[tokio::test]
async fn an_amount_above_the_rule_is_declined() {
    let shop = Shop::open().await;
    let rule = format!(r#"[{{"when": {{"amountAbove": {}}}, "then": "Decline"}}]"#, TOTAL - 1);
    let _service = shop.start_mock(&rule).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    assert_eq!(shop.neighbours.receive::<PaymentFailed>(order).await.reason, "declined");
    assert_eq!(shop.booked(order).await, once("declined"));
}

#[tokio::test]
async fn a_provider_that_fails_and_then_answers_too_late_is_asked_again_and_charges_once() {
    let shop = Shop::open().await;
    let rules = r#"[{"then": "Fail", "times": 1}, {"then": "TimeOut", "times": 1}]"#;
    let _service = shop.start_mock(rules).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    assert_eq!(shop.neighbours.receive::<PaymentSucceeded>(order).await.amount_minor, TOTAL);
    assert_eq!(shop.booked(order).await, once("captured"));
}

#[tokio::test]
async fn money_whose_receipt_never_arrives_goes_back_when_the_order_is_given_up() {
    let shop = Shop::open().await;
    let _service = shop.start_mock(r#"[{"then": "TimeOut"}]"#).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    shop_testing::eventually("the provider has the money", || async {
        let booked = shop.booked(order).await;
        if booked == once("captured") { Ok(()) } else { Err(format!("{booked:?}")) }
    })
    .await;
    shop.neighbours.publish(&canceled(order)).await;
    assert_eq!(shop.neighbours.receive::<PaymentRefunded>(order).await.amount_minor, TOTAL);
    assert_eq!(shop.booked(order).await, once("refunded"));
    assert!(shop.neighbours.all::<PaymentSucceeded>(order).is_empty());
}

#[tokio::test]
async fn every_second_order_is_declined_and_the_others_are_paid() {
    let shop = Shop::open().await;
    let rule = r#"[{"when": {"everyNth": 2}, "then": "Decline"}]"#;
    let _service = shop.start_mock(rule).await;
    for _ in 0..2 {
        let (paid, declined) = (Uuid::new_v4(), Uuid::new_v4());
        shop.neighbours.publish(&created(paid)).await;
        shop.neighbours.receive::<PaymentSucceeded>(paid).await;
        shop.neighbours.publish(&created(declined)).await;
        shop.neighbours.receive::<PaymentFailed>(declined).await;
    }
}

#[tokio::test]
async fn a_key_is_charged_once_refunded_once_and_closed_for_good() {
    let shop = Shop::open().await;
    let mock = || MockProvider::new(shop.database.pool.clone(), shop.config().provider);
    let (paid, unpaid) = (charge(), charge());
    assert_eq!(mock().capture(&paid).await.unwrap(), Capture::Taken);
    assert_eq!(mock().capture(&paid).await.unwrap(), Capture::Taken, "a provider that was restarted remembers");
    assert_eq!(mock().refund(paid.key).await.unwrap(), Refund::GivenBack);
    assert_eq!(mock().refund(paid.key).await.unwrap(), Refund::GivenBack);
    assert_eq!(mock().refund(unpaid.key).await.unwrap(), Refund::Nothing);
    assert!(matches!(mock().capture(&unpaid).await.unwrap(), Capture::Declined { .. }), "a closed key takes nothing");
}

fn charge() -> Charge {
    Charge { key: Uuid::new_v4(), order_id: Uuid::new_v4(), amount: Money(TOTAL), currency: "USD".to_owned() }
}
