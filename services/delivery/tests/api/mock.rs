//! The carrier that ships with the service.

use std::{sync::Arc, time::Duration};

use shop_config::Span;
use shop_core::World;
use shop_delivery::{
    App,
    config::{Config, Provider},
    provider::{Address, DeliveryProvider as _, MockProvider, Outcomes, Parcel, Recall, Shipment, Tracking},
};
use shop_proto::events::DeliveryFailed;
use shop_server::Host;
use shop_testing::Running;
use uuid::Uuid;

use crate::harness::{CITY, Shop, paid};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_parcel_into_a_city_where_they_are_lost_fails() {
    let shop = Shop::open().await;
    let outcomes = Outcomes::LoseIn(CITY.to_owned());
    let provider = Provider { outcomes, ..shop.config().provider };
    let service = Running::start::<App>(Config { provider, ..shop.config() }, Host::system()).await;
    service.ready().await;
    let order = Uuid::new_v4();
    shop.neighbours.publish(&paid(order)).await;
    assert_eq!(shop.neighbours.receive::<DeliveryFailed>(order).await.reason, "undeliverable");
}

#[tokio::test]
async fn a_parcel_is_on_its_way_for_its_time_and_a_restarted_carrier_knows_it() {
    let shop = Shop::open().await;
    let parcel = parcel();
    let Shipment::Accepted { takes } = mock(&shop).ship(&parcel).await.unwrap() else { panic!("it is refused") };
    assert!(takes + Duration::from_mins(1) > HOUR && takes <= HOUR, "{takes:?}");
    assert!(matches!(mock(&shop).track(parcel.key).await.unwrap(), Tracking::OnItsWay { .. }));
    shop.world.advance(HOUR);
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
    let world: Arc<dyn World> = shop.world.clone();
    let behaviour = Provider { latency: Span(HOUR), outcomes: Outcomes::Deliver };
    MockProvider::new(shop.database.pool.clone(), behaviour, world)
}

fn parcel() -> Parcel {
    Parcel { key: Uuid::new_v4(), address: Address { city: CITY.to_owned(), ..Address::default() } }
}
