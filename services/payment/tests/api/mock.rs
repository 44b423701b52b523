//! The provider that ships with the service.

use std::sync::Arc;

use shop_core::{Money, SystemWorld};
use shop_payment::{
    App,
    config::Provider,
    provider::{Capture, Charge, MockProvider, Outcomes, PaymentProvider as _, Refund},
};
use shop_proto::events::PaymentFailed;
use shop_server::Host;
use shop_testing::Running;
use uuid::Uuid;

use crate::harness::{Shop, TOTAL, created};

#[tokio::test]
async fn an_amount_above_the_rule_is_declined() {
    let shop = Shop::open().await;
    let outcomes = Outcomes::DeclineAbove(TOTAL - 1);
    let provider = Provider { outcomes, ..shop.config().provider };
    let service =
        Running::start::<App>(shop_payment::config::Config { provider, ..shop.config() }, Host::system()).await;
    service.ready().await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&created(order)).await;
    assert_eq!(shop.neighbours.receive::<PaymentFailed>(order).await.reason, "declined");
}

#[tokio::test]
async fn a_key_is_charged_once_refunded_once_and_closed_for_good() {
    let shop = Shop::open().await;
    let mock = || MockProvider::new(shop.database.pool.clone(), shop.config().provider, Arc::new(SystemWorld));
    let (paid, unpaid) = (charge(), charge());
    assert_eq!(mock().capture(&paid).await.unwrap(), Capture::Taken);
    assert_eq!(mock().capture(&paid).await.unwrap(), Capture::Taken, "a provider that was restarted remembers");
    assert_eq!(mock().refund(paid.key).await.unwrap(), Refund::GivenBack);
    assert_eq!(mock().refund(paid.key).await.unwrap(), Refund::GivenBack);
    assert_eq!(mock().refund(unpaid.key).await.unwrap(), Refund::Nothing);
    assert!(matches!(mock().capture(&unpaid).await.unwrap(), Capture::Declined { .. }), "a closed key takes nothing");
}

fn charge() -> Charge {
    Charge { key: Uuid::new_v4(), amount: Money(TOTAL), currency: "USD".to_owned() }
}
