//! What reaches a handler, how often, and what does not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use lapin::{options::QueueDeleteOptions, types::FieldTable};
use shop_core::Fault;
use shop_messaging::{Handler, Incoming, Way, dead_letters::DeadLetters};
use shop_proto::events::OrderCreated;
use shop_testing::{TestBroker, eventually};
use uuid::Uuid;

use crate::{
    harness::{Client, Handles, SERVICE, consuming},
    proxy::Proxy,
};

const GOOD: &[u8] = br#"{"orderId":"1"}"#;

/// How often each event came, and with which count of failures the last time.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<Uuid, (usize, u32)>>>);

impl Log {
    fn note(&self, event: &Incoming) -> usize {
        let mut log = self.0.lock().expect("no panic while it is held");
        let (times, attempt) = log.entry(event.id).or_default();
        (*times, *attempt) = (*times + 1, event.attempt);
        *times
    }

    fn of(&self, event: Uuid) -> (usize, u32) {
        self.0.lock().expect("no panic while it is held").get(&event).copied().unwrap_or_default()
    }

    async fn becomes(&self, event: Uuid, wanted: (usize, u32)) {
        eventually("the event was handled that often", || async {
            if self.of(event) == wanted { Ok(()) } else { Err(format!("{:?}", self.of(event))) }
        })
        .await;
    }
}

#[tokio::test]
async fn poison_is_parked_with_its_reason_while_other_messages_flow() {
    let broker = TestBroker::create().await;
    let client = Client::of(&broker).await;
    let log = Log::default();
    let noting = log.clone();
    let consumer = consuming(
        &broker.config,
        Handles(move |event: Incoming| {
            let read = event.payload::<OrderCreated>().map(|_| noting.note(&event));
            async { read.map(|_| ()) }
        }),
    )
    .await;

    let no_json = client.publish(b"{\"orderId\": ").await;
    let not_ours = client.publish(br#"{"orderId":{"version":9}}"#).await;
    let huge = client.publish(&vec![b'x'; 10_000_000]).await;
    assert!(client.offer_with(FieldTable::default(), b"no headers").await);
    let good = client.publish(GOOD).await;

    log.becomes(good, (1, 0)).await;
    consumer.shows(r#"messages_processed_total{event="unreadable",outcome="parked"} 1"#).await;
    consumer.shows(r#"messages_processed_total{event="order.created",outcome="parked"} 3"#).await;
    let letters = DeadLetters::open(&broker.config.url, Way::default(), SERVICE).await.unwrap();
    let dead = letters.look(10).await.unwrap();
    for id in [no_json, not_ours, huge] {
        let letter = dead.iter().find(|letter| letter.id == id.to_string()).unwrap();
        assert_eq!((letter.kind.as_deref(), letter.attempts), (Some("order.created"), 1));
        assert!(letter.reason.starts_with("the payload of order.created cannot be read: "), "{}", letter.reason);
    }
    let nameless = dead.iter().find(|letter| letter.kind.is_none()).unwrap();
    assert_eq!(nameless.reason, "the message has no usable header cloudEvents:id");
    assert_eq!(nameless.payload, "no headers");
    consumer.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_gets_its_message_again_and_all_others_meanwhile() {
    let broker = TestBroker::create().await;
    let client = Client::of(&broker).await;
    let log = Log::default();
    let noting = log.clone();
    let consumer = consuming(
        &broker.config,
        Handles(move |event: Incoming| {
            let first = noting.note(&event) == 1;
            async move {
                let order = event.payload::<OrderCreated>()?.order_id;
                assert!(!(first && order == "panic"), "as the test wants");
                if first && order == "fail" { Err(Fault::unavailable("the database")) } else { Ok(()) }
            }
        }),
    )
    .await;

    let panics = client.publish(br#"{"orderId":"panic"}"#).await;
    let fails = client.publish(br#"{"orderId":"fail"}"#).await;
    let good = client.publish(GOOD).await;
    log.becomes(good, (1, 0)).await;
    log.becomes(panics, (2, 1)).await;
    log.becomes(fails, (2, 1)).await;
    consumer.shows(r#"messages_processed_total{event="order.created",outcome="handled"} 3"#).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_message_in_hand_when_the_connection_is_lost_comes_again() {
    let broker = TestBroker::create().await;
    let (client, proxy) = (Client::of(&broker).await, Proxy::to(&broker).await);
    let log = Log::default();
    let noting = log.clone();
    let consumer = consuming(
        &proxy.config,
        Handles(move |event: Incoming| {
            let first = noting.note(&event) == 1;
            async move {
                if first {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        }),
    )
    .await;

    let event = client.publish(GOOD).await;
    log.becomes(event, (1, 0)).await;
    proxy.cut();
    log.becomes(event, (2, 0)).await;
    consumer.shows(r#"messages_processed_total{event="order.created",outcome="handled"} 1"#).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_declared_again() {
    let broker = TestBroker::create().await;
    let client = Client::of(&broker).await;
    let log = Log::default();
    let noting = log.clone();
    let consumer = consuming(
        &broker.config,
        Handles(move |event: Incoming| {
            noting.note(&event);
            async { Ok(()) }
        }),
    )
    .await;
    let before = client.publish(GOOD).await;
    log.becomes(before, (1, 0)).await;
    // Not with the message still in it: that one would be lost, as with any deleted queue.
    consumer.shows(r#"messages_processed_total{event="order.created",outcome="handled"} 1"#).await;

    let queue = format!("{SERVICE}.events");
    client.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let after = eventually("the queue is there and bound again", || async {
        client.offer(GOOD).await.ok_or_else(|| "the message was returned".to_owned())
    })
    .await;
    log.becomes(after, (1, 0)).await;
    consumer.stop().await;
}

/// Waits for ever for its store, the first time.
struct Stuck(Log);

impl Handler for Stuck {
    const PATIENCE: Duration = Duration::from_millis(50);

    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        if self.0.note(event) == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_handler_that_does_not_come_back_is_given_up_and_its_message_comes_again() {
    let broker = TestBroker::create().await;
    let client = Client::of(&broker).await;
    let log = Log::default();
    let consumer = consuming(&broker.config, Stuck(log.clone())).await;
    let event = client.publish(GOOD).await;
    log.becomes(event, (2, 1)).await;
    consumer.shows(r#"messages_processed_total{event="order.created",outcome="handled"} 1"#).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_gone_without_a_word_is_noticed_by_its_missing_heartbeats() {
    let broker = TestBroker::create().await;
    let (client, proxy) = (Client::of(&broker).await, Proxy::to(&broker).await);
    let log = Log::default();
    let noting = log.clone();
    let consumer = consuming(
        &proxy.config,
        Handles(move |event: Incoming| {
            noting.note(&event);
            async { Ok(()) }
        }),
    )
    .await;
    proxy.silence(true);
    eventually("the consumer connects again", || async {
        if proxy.accepted() > 1 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    proxy.silence(false);
    let event = client.publish(GOOD).await;
    eventually("the event is handled", || async { if log.of(event).0 > 0 { Ok(()) } else { Err(String::new()) } })
        .await;
    consumer.stop().await;
}
