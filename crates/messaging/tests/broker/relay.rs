//! From the outbox to the broker, whatever happens on the way.

use std::{collections::HashSet, time::Duration};

use jiff::SignedDuration;
use shop_proto::events::{OrderCanceled, OrderCreated, OrderPaid};
use shop_testing::{TestBroker, eventually};

use crate::{
    harness::{Client, Publisher, next},
    proxy::Proxy,
};

/// More than two batches of the relay.
const MANY: usize = 1200;

fn orders(count: usize) -> impl Iterator<Item = OrderCreated> {
    (0..count).map(|number| OrderCreated { order_id: number.to_string(), ..OrderCreated::default() })
}

#[tokio::test]
async fn two_relays_send_every_event_once() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let client = Client::of(&broker).await;
    let mut arriving = client.listen("order.created").await;
    let relays = [publisher.relaying(&broker.config), publisher.relaying(&broker.config)];

    publisher.commit(orders(MANY)).await;
    let arrived = next(&mut arriving, MANY).await;
    publisher.all_sent("order.created").await;
    let ids: HashSet<&String> = arrived.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), MANY);
    for relay in relays {
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_was_written_before_the_databases_clock_jumped_back_is_sent_all_the_same() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let client = Client::of(&broker).await;
    let mut arriving = client.listen("order.created").await;
    publisher.commit(orders(1)).await;
    publisher.database.jump(-SignedDuration::from_hours(1)).await;

    let relay = publisher.relaying(&broker.config);
    next(&mut arriving, 1).await;
    publisher.all_sent("order.created").await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_without_a_queue_is_kept_and_those_sent_with_it_are_not_held_up() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let client = Client::of(&broker).await;
    let mut arriving = client.listen("order.created").await;
    // In turns, before the relay starts, so that the broker confirms both kinds together.
    for order in orders(MANY / 4) {
        publisher.commit([OrderPaid { order_id: order.order_id.clone(), ..OrderPaid::default() }]).await;
        publisher.commit([order]).await;
    }
    let relay = publisher.relaying(&broker.config);

    next(&mut arriving, MANY / 4).await;
    publisher.all_sent("order.created").await;
    assert_eq!(publisher.unsent("order.paid").await, i64::try_from(MANY / 4).unwrap());

    let mut arriving = client.listen("order.paid").await;
    publisher.database.advance(Duration::from_secs(1)).await;
    next(&mut arriving, MANY / 4).await;
    publisher.all_sent("order.paid").await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_that_the_broker_refuses_does_not_hold_up_the_others() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let client = Client::of(&broker).await;
    let mut arriving = client.listen("order.created").await;
    publisher.commit(orders(20)).await;
    publisher.commit([OrderCanceled::default()]).await;
    publisher.commit(orders(20)).await;
    // As a message over the broker's limit: it answers by closing the channel.
    let misdirect = "UPDATE outbox SET exchange = 'nowhere' WHERE routing_key = 'order.canceled'";
    sqlx::query(misdirect).execute(&publisher.database.pool).await.unwrap();
    let relay = publisher.relaying(&broker.config);

    publisher.all_sent("order.created").await;
    publisher.commit(orders(20)).await;
    publisher.all_sent("order.created").await;
    assert!(next(&mut arriving, 60).await.len() >= 60);
    relay.shows(r#"outbox_published_total{outcome="refused"} 1"#).await;
    assert_eq!(publisher.unsent("order.canceled").await, 1);

    let mut arriving = client.listen("order.canceled").await;
    let correct = "UPDATE outbox SET exchange = 'order_events' WHERE routing_key = 'order.canceled'";
    sqlx::query(correct).execute(&publisher.database.pool).await.unwrap();
    publisher.database.advance(Duration::from_mins(1)).await;
    next(&mut arriving, 1).await;
    publisher.all_sent("order.canceled").await;
    relay.stop().await;
}

#[tokio::test]
async fn events_whose_confirm_was_lost_are_sent_again_under_the_same_id() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let (client, proxy) = (Client::of(&broker).await, Proxy::to(&broker).await);
    let mut arriving = client.listen("order.created").await;
    let relay = publisher.relaying(&proxy.config);
    publisher.commit(orders(1)).await;
    publisher.all_sent("order.created").await;
    next(&mut arriving, 1).await;

    proxy.silence(true);
    publisher.commit(orders(10)).await;
    let first = next(&mut arriving, 10).await;
    assert_eq!(publisher.unsent("order.created").await, 10);
    proxy.cut();
    // Not before: the answers that were kept back would still come through.
    eventually("the relay connects again", || async { if proxy.accepted() > 1 { Ok(()) } else { Err(String::new()) } })
        .await;
    proxy.silence(false);
    let mut second = next(&mut arriving, 10).await;
    publisher.all_sent("order.created").await;
    second.sort();
    let mut first = first;
    first.sort();
    assert_eq!(first, second);
    relay.stop().await;
}

#[tokio::test]
async fn a_blocked_relay_lets_go_of_the_outbox_keeps_its_connection_and_goes_on_when_it_may() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let (client, proxy) = (Client::of(&broker).await, Proxy::to(&broker).await);
    let mut arriving = client.listen("order.created").await;
    let relay = publisher.relaying(&proxy.config);
    publisher.commit(orders(1)).await;
    publisher.all_sent("order.created").await;

    proxy.block(true);
    publisher.commit(orders(MANY)).await;
    let free = || async {
        let unlocked = "SELECT id FROM outbox WHERE sent_at IS NULL FOR UPDATE SKIP LOCKED";
        sqlx::query(unlocked).fetch_all(&publisher.database.pool).await.unwrap().len()
    };
    eventually("the relay has a batch in hand", || async {
        if free().await < MANY { Ok(()) } else { Err(String::new()) }
    })
    .await;
    eventually("the relay has let go of it", || async {
        if free().await == MANY { Ok(()) } else { Err(String::new()) }
    })
    .await;
    publisher.database.advance(Duration::from_mins(5)).await;
    eventually("the lag is measured", || async {
        let metrics = relay.metrics.encode().unwrap();
        if metrics.lines().any(|line| line.starts_with("outbox_lag_seconds 3")) { Ok(()) } else { Err(metrics) }
    })
    .await;
    assert_eq!(proxy.accepted(), 1);

    proxy.block(false);
    publisher.all_sent("order.created").await;
    let arrived = next(&mut arriving, MANY + 1).await;
    assert!(arrived.len() > MANY);
    assert_eq!(proxy.accepted(), 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_ends_also_while_it_is_blocked() {
    let (broker, publisher) = (TestBroker::create().await, Publisher::create().await);
    let (client, proxy) = (Client::of(&broker).await, Proxy::to(&broker).await);
    let _arriving = client.listen("order.created").await;
    let relay = publisher.relaying(&proxy.config);
    publisher.commit(orders(1)).await;
    publisher.all_sent("order.created").await;
    proxy.block(true);
    publisher.commit(orders(10)).await;
    relay.stop().await;
    assert_eq!(publisher.unsent("order.created").await, 10);
}
