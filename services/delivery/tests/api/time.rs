//! What has served its time. The clock is the database's.

use std::time::Duration;

use shop_proto::events::{DeliveryDelivered, DeliveryShipped};
use shop_testing::eventually;
use uuid::Uuid;

use crate::harness::{Shop, paid};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_parcel_that_arrived_is_forgotten_after_a_month_and_is_not_shipped_again() {
    let shop = Shop::open().await;
    let service = shop.start_mock(r#"[{"when": {"city": "Atlantis"}, "then": "Decline"}]"#).await;
    let (arrived, waiting) = (Uuid::new_v4(), Uuid::new_v4());
    shop.neighbours.publish(&paid(arrived)).await;
    shop.neighbours.receive::<DeliveryDelivered>(arrived).await;
    service.stop().await;
    // Only the shipment of this one is done when the month begins.
    let service = shop.start_slow().await;
    shop.neighbours.publish(&paid(waiting)).await;
    shop.neighbours.receive::<DeliveryShipped>(waiting).await;
    service.stop().await;

    shop.database.advance(32 * DAY).await;
    let _service = shop.start_slow().await;
    eventually("only the parcel that is on its way is known", || async {
        let known: Vec<Uuid> =
            sqlx::query_scalar("SELECT order_id FROM deliveries").fetch_all(&shop.database.pool).await.unwrap();
        if known == [waiting] { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;
    shop.until_booked(arrived, &[]).await;
    shop.until_booked(waiting, &["shipped"]).await;

    // Somebody replays a dead letter of that time: it may have been acted on, so people have to look.
    shop.neighbours.publish(&paid(arrived)).await;
    shop.neighbours.parked("delivery", 1).await;
    assert!(shop.booked(arrived).await.is_empty());
}
