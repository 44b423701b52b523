//! The other end of the broker: what the neighbours publish, and what they would receive.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shop_proto::events::{Event, ORDER_EVENTS, PRODUCT_EVENTS, ROUTES, SCHEMA};
use uuid::Uuid;

use crate::{TestBroker, eventually};

const QUEUE: &str = "neighbours";

/// One event somebody published.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Routing key.
    pub kind: String,
    /// Payload.
    pub payload: Value,
}

/// All the neighbours of the service under test, on one virtual host.
pub struct Neighbours {
    channel: Channel,
    seen: Arc<Mutex<Vec<Seen>>>,
    _connection: Connection,
}

impl Neighbours {
    /// Listens to every event, so that each has a queue.
    pub async fn of(broker: &TestBroker) -> Self {
        let url = broker.config.url.expose_secret();
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("RabbitMQ answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), exclusive, FieldTable::default()).await.expect("a queue");
        for exchange in [ORDER_EVENTS, PRODUCT_EVENTS] {
            let (durable, none) =
                (ExchangeDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
            channel
                .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none.clone())
                .await
                .expect("an exchange as the services declare it");
            let options = QueueBindOptions::default();
            channel.queue_bind(QUEUE.into(), exchange.into(), "#".into(), options, none).await.expect("a binding");
        }
        let seen = Arc::default();
        tokio::spawn(listen(channel.clone(), Arc::clone(&seen)));
        Self { channel, seen, _connection: connection }
    }

    /// A neighbour publishes `event`; gives back its id.
    pub async fn publish<E: Event>(&self, event: &E) -> Uuid {
        let id = Uuid::new_v4();
        self.publish_as(id, event).await;
        id
    }

    /// The same with an id of the test's choice: with one that was there before, it is a duplicate.
    pub async fn publish_as<E: Event>(&self, id: Uuid, event: &E) {
        let payload = serde_json::to_value(event).expect("a payload");
        self.publish_json(id, E::ROUTE.key, Some(SCHEMA), &payload).await;
    }

    /// The same with any payload: a publisher of another version than ours. The first release named no `schema`.
    pub async fn publish_json(&self, id: Uuid, key: &str, schema: Option<&str>, payload: &Value) {
        let route = ROUTES.iter().find(|route| route.key == key).expect("a kind of event");
        let mut headers = FieldTable::default();
        let (id, time) = (id.to_string(), Timestamp::now().to_string());
        let source = "/shopkeeper/test";
        for (name, value) in [("specversion", "1.0"), ("id", &id), ("type", key), ("source", source), ("time", &time)]
            .into_iter()
            .chain(schema.map(|schema| ("dataschema", schema)))
        {
            headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default().with_headers(headers);
        let payload = payload.to_string();
        let (exchange, options) = (route.exchange.into(), BasicPublishOptions::default());
        let confirm = self.channel.basic_publish(exchange, key.into(), options, payload.as_bytes(), properties).await;
        confirm.expect("published").await.expect("confirmed");
    }

    /// Tells of six orders that one thing happened twice and another twice, each time in another sequence.
    pub async fn publish_in_every_order<A: Event, B: Event>(&self, one: impl Fn(Uuid) -> A, other: impl Fn(Uuid) -> B) {
        for others in (0_u32..16).filter(|places| places.count_ones() == 2) {
            let order = Uuid::new_v4();
            for place in 0..4 {
                if others >> place & 1 == 1 {
                    self.publish(&other(order)).await;
                } else {
                    self.publish(&one(order)).await;
                }
            }
        }
    }

    /// What was published about `order` so far, by anybody, in the order it arrived.
    #[must_use]
    pub fn seen(&self, order: Uuid) -> Vec<Seen> {
        let order = order.to_string();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|event| event.payload["orderId"] == order.as_str()).cloned().collect()
    }

    /// The payloads of every `E` about `order` so far.
    #[must_use]
    pub fn all<E: Event>(&self, order: Uuid) -> Vec<E> {
        let of_kind = self.seen(order).into_iter().filter(|event| event.kind == E::ROUTE.key);
        of_kind.map(|event| serde_json::from_value(event.payload).expect("the payload it should be")).collect()
    }

    /// The first `E` about `order`, as soon as there is one.
    pub async fn receive<E: Event>(&self, order: Uuid) -> E {
        eventually(&format!("{} is published", E::ROUTE.key), || async {
            self.all::<E>(order).into_iter().next().ok_or_else(|| format!("{:?}", self.seen(order)))
        })
        .await
    }

    /// Waits until `service` has parked `count` messages it cannot handle.
    pub async fn parked(&self, service: &str, count: u32) {
        let queue = format!("{service}.events.dead");
        eventually(&format!("{count} messages are parked"), || async {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let state = self.channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
            let found = state.expect("the service is ready").message_count();
            if found == count { Ok(()) } else { Err(format!("{found} messages")) }
        })
        .await;
    }
}

async fn listen(channel: Channel, seen: Arc<Mutex<Vec<Seen>>>) {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let deliveries = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await;
    let mut deliveries = deliveries.expect("a consumer");
    while let Some(Ok(Delivery { routing_key, data, .. })) = deliveries.next().await {
        let payload = serde_json::from_slice(&data).expect("every payload is JSON");
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { kind: routing_key.to_string(), payload });
    }
}
