//! A broker that is away.

use shop_testing::{Neighbours, TestBroker};
use uuid::Uuid;

use crate::harness::{Shop, succeeded};

#[tokio::test]
async fn orders_are_taken_while_the_broker_is_away_and_told_when_it_is_back() {
    let shop = Shop::with_broker(TestBroker::away()).await;
    let buyer = shop.buyer();
    let orders: [Uuid; 2] = [shop.order_a_kettle(&buyer).await, shop.order_a_kettle(&buyer).await];

    shop.broker.arrive().await;
    let neighbours = Neighbours::of(&shop.broker).await;
    for order in orders {
        shop.tells(&neighbours, order, &["order.created"]).await;
    }
    shop.service.ready().await;
    neighbours.publish(&succeeded(orders[0])).await;
    shop.becomes(&buyer, orders[0], "PAID").await;
}
