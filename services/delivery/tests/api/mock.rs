//! The carrier that ships with the service.

use std::time::Duration;

use shop_config::Span;
use shop_delivery::{
    config::Provider,
    provider::{Address, DeliveryProvider as _, MockProvider, Parcel, Recall, Shipment, Tracking},
};
use shop_proto::events::{DeliveryDelivered, DeliveryFailed};
use uuid::Uuid;

use crate::harness::{CITY, Shop, canceled, paid};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_parcel_that_cannot_be_handed_over_is_shipped_and_then_fails() {
    let shop = Shop::open().await;
    let rule = format!(r#"[{{"when": {{"city": "{CITY}"}}, "then": "Undeliverable"}}]"#);
    let _service = shop.start_mock(&rule).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    assert_eq!(shop.neighbours.receive::<DeliveryFailed>(order).await.reason, "undeliverable");
    assert_eq!(shop.told(order), ["delivery.shipped", "delivery.failed"]);
    assert_eq!(shop.booked(order).await, ["undeliverable"]);
}

#[tokio::test]
async fn every_second_parcel_is_declined_and_the_others_arrive() {
    let shop = Shop::open().await;
    let _service = shop.start_mock(r#"[{"when": {"everyNth": 2}, "then": "Decline"}]"#).await;
    let (arrives, declined) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish(&paid(arrives)).await;
    shop.neighbours.receive::<DeliveryDelivered>(arrives).await;
    shop.neighbours.publish(&paid(declined)).await;
    assert_eq!(shop.neighbours.receive::<DeliveryFailed>(declined).await.reason, "declined");
    assert_eq!(shop.told(declined), ["delivery.failed"]);
}

#[tokio::test]
async fn a_carrier_that_fails_and_then_answers_too_late_is_asked_again_and_ships_once() {
    let shop = Shop::open().await;
    let rules = r#"[{"then": "Fail", "times": 1}, {"then": "TimeOut", "times": 1}]"#;
    let _service = shop.start_mock(rules).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    shop.neighbours.receive::<DeliveryDelivered>(order).await;
    assert_eq!(shop.told(order), ["delivery.shipped", "delivery.delivered"]);
    assert_eq!(shop.booked(order).await, ["delivered"]);
}

#[tokio::test]
async fn a_parcel_whose_receipt_never_arrives_is_called_back_when_its_order_is_canceled() {
    let shop = Shop::open().await;
    let _service = shop.start_mock(r#"[{"then": "TimeOut"}]"#).await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    shop.until_booked(order, &["shipped"]).await;
    shop.neighbours.publish(&canceled(order)).await;
    shop.until_booked(order, &["recalled"]).await;
    assert!(shop.told(order).is_empty());
}

#[tokio::test]
async fn a_parcel_that_was_handed_over_before_the_cancel_was_heard_of_is_called_back() {
    let shop = Shop::open().await;
    let _service = shop.start_mock("[]").await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    shop.neighbours.receive::<DeliveryDelivered>(order).await;
    shop.neighbours.publish(&canceled(order)).await;
    shop.until_booked(order, &["recalled"]).await;
}

#[tokio::test]
async fn a_parcel_is_on_its_way_for_its_time_and_a_restarted_carrier_knows_it() {
    let shop = Shop::open().await;
    let parcel = parcel();
    let Shipment::Accepted { takes } = mock(&shop).ship(&parcel).await.unwrap() else { panic!("it is refused") };
    assert!(takes + Duration::from_mins(1) > HOUR && takes <= HOUR, "{takes:?}");
    assert!(matches!(mock(&shop).track(parcel.key).await.unwrap(), Tracking::OnItsWay { .. }));
    shop.database.advance(HOUR).await;
    assert_eq!(mock(&shop).track(parcel.key).await.unwrap(), Tracking::Arrived);
    assert_eq!(mock(&shop).ship(&parcel).await.unwrap(), Shipment::Accepted { takes: Duration::ZERO });
}

#[tokio::test]
async fn a_key_that_was_called_back_is_closed_for_good() {
    let shop = Shop::open().await;
    let (shipped, unshipped) = (parcel(), parcel());
    mock(&shop).ship(&shipped).await.unwrap();
    assert_eq!(mock(&shop).recall(shipped.key).await.unwrap(), Recall::ComesBack);
    assert_eq!(mock(&shop).recall(shipped.key).await.unwrap(), Recall::ComesBack);
    assert_eq!(mock(&shop).recall(unshipped.key).await.unwrap(), Recall::Nothing);
    for parcel in [shipped, unshipped] {
        assert!(matches!(mock(&shop).ship(&parcel).await.unwrap(), Shipment::Refused { .. }));
    }
}

fn mock(shop: &Shop) -> MockProvider {
    let behaviour = Provider { latency: Span(HOUR), ..Provider::default() };
    MockProvider::new(shop.database.pool.clone(), behaviour)
}

fn parcel() -> Parcel {
    let address = Address { city: CITY.to_owned(), ..Address::default() };
    Parcel { key: Uuid::new_v4(), order_id: Uuid::new_v4(), address }
}
