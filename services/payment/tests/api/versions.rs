//! Messages of other versions than ours.

use serde_json::{Value, json};
use shop_proto::events::{PaymentFailed, SCHEMA};
use uuid::Uuid;

use crate::harness::{CountingProvider, Shop};

/// `order.created` as the first release wrote it; it has long expired.
fn recorded(order: Uuid) -> Value {
    let text = include_str!("../../../../crates/proto/recorded/v1/order.created.json");
    let mut payload: Value = serde_json::from_str(text).expect("JSON");
    payload["orderId"] = json!(order);
    payload
}

#[tokio::test]
async fn a_message_of_the_first_release_and_one_with_unknown_fields_are_read() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    let (first, newer) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish_json(Uuid::new_v4(), "order.created", None, &recorded(first)).await;
    let mut payload = recorded(newer);
    payload["giftWrap"] = json!(true);
    shop.neighbours.publish_json(Uuid::new_v4(), "order.created", Some(SCHEMA), &payload).await;
    for order in [first, newer] {
        assert_eq!(shop.neighbours.receive::<PaymentFailed>(order).await.reason, "expired");
    }
}

#[tokio::test]
async fn a_message_of_the_next_major_version_is_parked_and_holds_nobody_up() {
    let (shop, provider) = (Shop::open().await, CountingProvider::new());
    let _service = shop.start(&provider).await;
    let (next, ours) = (Uuid::new_v4(), Uuid::new_v4());
    let schema = Some("urn:shopkeeper:events:v2");
    shop.neighbours.publish_json(Uuid::new_v4(), "order.created", schema, &recorded(next)).await;
    shop.neighbours.publish_json(Uuid::new_v4(), "order.created", Some(SCHEMA), &recorded(ours)).await;
    shop.neighbours.receive::<PaymentFailed>(ours).await;
    shop.neighbours.parked("payment", 1).await;
    assert!(shop.neighbours.all::<PaymentFailed>(next).is_empty());
}
