//! Dead letters: looked at, sent back.

use std::{collections::BTreeSet, time::Duration};

use lapin::{
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::FieldTable,
};
use secrecy::{ExposeSecret as _, SecretString};
use shop_core::Fault;
use shop_messaging::{
    Incoming, Way,
    dead_letters::{DeadLetters, Which},
};
use shop_testing::{TestBroker, eventually};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use crate::{
    harness::{Background, Client, Handles, SERVICE, TRACE, consuming},
    proxy::Proxy,
};

/// A broker on which `count` messages were given up, and nobody consumes any more.
async fn given_up(count: usize) -> (TestBroker, Client, Vec<Uuid>, DeadLetters) {
    let broker = TestBroker::create().await;
    let client = Client::of(&broker).await;
    let refuse = Handles(|_| async { Err(Fault::invalid("no such order").caused_by("it was never placed")) });
    let consumer = consuming(&broker.config, refuse).await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(client.publish(format!(r#"{{"orderId":"{number}"}}"#).as_bytes()).await);
    }
    let letters = DeadLetters::open(&broker.config.url, Way::default(), SERVICE).await.expect("the broker answers");
    become_count(&letters, count).await;
    consumer.stop().await;
    (broker, client, ids, letters)
}

async fn become_count(letters: &DeadLetters, wanted: usize) {
    let wanted = u32::try_from(wanted).ok();
    eventually("that many are dead", || async {
        let count = letters.count().await.expect("the broker answers");
        if count == wanted { Ok(()) } else { Err(format!("{count:?}")) }
    })
    .await;
}

/// A consumer that hands out what it gets.
async fn receiving(broker: &TestBroker) -> (Background, mpsc::UnboundedReceiver<Incoming>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = Handles(move |event| {
        sender.send(event).expect("the broker answers");
        async { Ok(()) }
    });
    (consuming(&broker.config, handler).await, receiver)
}

#[tokio::test]
async fn a_dead_letter_says_what_it_is_why_it_is_there_and_stays_there() {
    let (_broker, _client, ids, letters) = given_up(2).await;
    // More often than a quorum queue gives a message back by default.
    for _ in 0..25 {
        assert_eq!(letters.look(10).await.unwrap().len(), 2);
        become_count(&letters, 2).await;
    }
    let letter = letters.look(1).await.unwrap().remove(0);
    assert!(ids.iter().any(|id| id.to_string() == letter.id));
    assert_eq!(letter.kind.as_deref(), Some("order.created"));
    assert_eq!(letter.trace_id.as_deref(), Some(TRACE));
    assert_eq!(letter.reason, "no such order: it was never placed");
    assert_eq!((letter.attempts, letter.replays), (1, 0));
    assert!(letter.occurred_at.is_some() && letter.payload["orderId"].is_string());
    letters.close().await;
}

#[tokio::test]
async fn all_dead_letters_come_back_as_they_were_and_with_all_attempts_before_them() {
    let (broker, _client, ids, letters) = given_up(3).await;
    assert_eq!(letters.replay(Which::All).await.unwrap().len(), 3);
    become_count(&letters, 0).await;

    let (consumer, mut received) = receiving(&broker).await;
    let mut seen = Vec::new();
    for _ in &ids {
        let event = received.recv().await.unwrap();
        assert_eq!((event.kind.as_str(), event.attempt), ("order.created", 0));
        assert_eq!(event.trace.traceparent.as_deref(), Some(&*format!("00-{TRACE}-b7ad6b7169203331-01")));
        seen.push(event.id);
    }
    seen.sort();
    assert_eq!(seen, ids);
    consumer.stop().await;
}

#[tokio::test]
async fn one_dead_letter_is_replayed_by_its_id_and_an_unknown_id_changes_nothing() {
    let (broker, _client, ids, letters) = given_up(3).await;
    let wanted = ids[1].to_string();
    assert!(letters.replay(Which::Id("no such id")).await.unwrap().is_empty());
    become_count(&letters, 3).await;
    assert_eq!(letters.replay(Which::Id(&wanted)).await.unwrap(), std::slice::from_ref(&wanted));
    become_count(&letters, 2).await;
    let (consumer, mut received) = receiving(&broker).await;
    assert_eq!(received.recv().await.unwrap().id, ids[1]);
    consumer.stop().await;
}

#[tokio::test]
async fn a_replayed_letter_that_dies_again_tells_that_it_was_replayed() {
    let (broker, _client, ids, letters) = given_up(1).await;
    assert_eq!(letters.replay(Which::All).await.unwrap(), [ids[0].to_string()]);
    let refuse = Handles(|_| async { Err(Fault::invalid("still no such order")) });
    let consumer = consuming(&broker.config, refuse).await;
    become_count(&letters, 1).await;
    consumer.shows("dead_letters 1").await;
    let letter = letters.look(1).await.unwrap().remove(0);
    assert_eq!((letter.reason.as_str(), letter.attempts, letter.replays), ("still no such order", 1, 1));
    consumer.stop().await;
}

#[tokio::test]
async fn a_replay_that_reaches_no_queue_leaves_the_dead_letter() {
    let (_broker, client, _ids, letters) = given_up(1).await;
    let queue = format!("{SERVICE}.events");
    client.channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await.unwrap();
    client.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let refused = letters.replay(Which::All).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the broker did not take a message for {queue}"));
    become_count(&letters, 1).await;
}

#[tokio::test]
async fn a_replay_that_is_cut_off_in_the_middle_loses_nothing() {
    let (broker, client, ids, letters) = given_up(100).await;
    let proxy = Proxy::to(&broker).await;
    let cut_off = DeadLetters::open(&proxy.config.url, Way::default(), SERVICE).await.expect("the broker answers");
    let half = async {
        timeout(Duration::from_mins(1), proxy.silence_at_confirm(50)).await.expect("50 are on their way");
        proxy.cut();
    };
    let (replayed, ()) = tokio::join!(cut_off.replay(Which::All), half);
    replayed.expect_err("it was cut off");

    // The one that it had in its hands was sent back, and it does not know: it is in both queues.
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    eventually("all are in one of the queues, and one in both", || async {
        let queue = format!("{SERVICE}.events");
        let sent = client.channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
        let sent = sent.expect("the consumer has declared it").message_count();
        let dead = letters.count().await.expect("the broker answers").unwrap_or_default();
        if (dead, sent) == (51, 50) { Ok(()) } else { Err(format!("{dead} dead, {sent} sent back")) }
    })
    .await;
    let dead = letters.look(200).await.unwrap();
    let mut found: BTreeSet<String> = dead.into_iter().map(|letter| letter.id).collect();
    let (consumer, mut received) = receiving(&broker).await;
    let all = async {
        while found.len() < ids.len() {
            found.insert(received.recv().await.unwrap().id.to_string());
        }
    };
    timeout(Duration::from_mins(1), all).await.expect("nothing is lost");
    consumer.stop().await;
}

#[tokio::test]
async fn dead_letters_are_reached_on_another_way_than_that_of_the_consumer() {
    let (broker, _client, _ids, _letters) = given_up(1).await;
    let proxy = Proxy::to(&broker).await;
    let (before, rest) = proxy.config.url.expose_secret().split_once('@').expect("the URL has a user");
    let (address, vhost) = rest.split_once('/').expect("the URL has a virtual host");
    let url = SecretString::from(format!("{before}@broker.invalid:5672/{vhost}"));
    let way = Way { detour: Some(address.parse().expect("an address")), authority: None };
    let letters = DeadLetters::open(&url, way, SERVICE).await.expect("the broker answers");
    become_count(&letters, 1).await;
}

#[tokio::test]
async fn a_consumer_that_never_ran_has_no_dead_letters() {
    let broker = TestBroker::create().await;
    let letters = DeadLetters::open(&broker.config.url, Way::default(), SERVICE).await.unwrap();
    assert_eq!(letters.count().await.unwrap(), None);
    assert!(letters.replay(Which::All).await.unwrap().is_empty());
}
