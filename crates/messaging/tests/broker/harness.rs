//! A consumer, a relay, and a look at the broker from the side.

use std::borrow::Cow;

use futures::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer as Deliveries, ExchangeKind,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use secrecy::ExposeSecret as _;
use shop_config::Url;
use shop_core::{Fault, World as _};
use shop_messaging::{Consumer, Handler, Incoming, Outbox, consume, migrations_with, relay};
use shop_proto::events::{Event, ORDER_EVENTS};
use shop_telemetry::metrics::Metrics;
use shop_testing::{TestBroker, TestDatabase, TestWorld, eventually};
use sqlx::migrate::Migrator;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The consumer under test: it reads `order.created` and `order.canceled`.
pub const SERVICE: &str = "payment";
pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Something that runs in the background.
pub struct Background {
    pub metrics: Metrics,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Background {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("it does not panic");
    }

    /// Waits until `/metrics` would have `sample`.
    pub async fn shows(&self, sample: &str) {
        eventually(sample, || async {
            let metrics = self.metrics.encode().expect("text");
            if metrics.lines().any(|line| line == sample) { Ok(()) } else { Err(metrics) }
        })
        .await;
    }
}

/// A handler from a function.
pub struct Handles<F>(pub F);

impl<F, Fut> Handler for Handles<F>
where
    F: Fn(Incoming) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Fault>> + Send,
{
    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        (self.0)(event.clone()).await
    }
}

/// A consumer whose queues are declared.
pub async fn consuming<H: Handler>(amqp: &Url, handler: H) -> Background {
    let (metrics, shutdown) = (Metrics::default(), CancellationToken::new());
    let (ready, is_ready) = oneshot::channel();
    let ready = std::sync::Mutex::new(Some(ready));
    let on_ready = Box::new(move || {
        if let Some(ready) = ready.lock().expect("no panic").take() {
            let _ = ready.send(());
        }
    });
    let consumer = Consumer { service: SERVICE, amqp: amqp.clone(), handler, on_ready };
    let task = tokio::spawn(consume(consumer, metrics.clone(), shutdown.clone()));
    is_ready.await.expect("the consumer gets ready");
    Background { metrics, shutdown, task }
}

/// An outbox and its database.
pub struct Publisher {
    pub database: TestDatabase,
    world: TestWorld,
    pub outbox: Outbox,
}

impl Publisher {
    pub async fn create() -> Self {
        let no_more = Migrator { migrations: Cow::Borrowed(&[]), ..Migrator::DEFAULT };
        let database = TestDatabase::create(&migrations_with(&no_more)).await;
        Self { database, world: TestWorld::new(7), outbox: Outbox::default() }
    }

    /// Starts a relay.
    pub fn relaying(&self, amqp: &Url) -> Background {
        let (metrics, shutdown) = (Metrics::default(), CancellationToken::new());
        let (pool, outbox) = (self.database.pool.clone(), self.outbox.clone());
        let relay = relay("order", amqp.clone(), pool, outbox, metrics.clone(), shutdown.clone());
        Background { metrics, shutdown, task: tokio::spawn(relay) }
    }

    /// Commits one transaction with all of `events`.
    pub async fn commit<E: Event>(&self, events: impl IntoIterator<Item = E>) {
        let mut tx = self.database.pool.begin().await.expect("a transaction");
        for event in events {
            self.outbox.push(&mut tx, &event, &self.world).await.expect("a row");
        }
        tx.commit().await.expect("committed");
        self.outbox.wake();
    }

    pub async fn unsent(&self, kind: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND routing_key = $1")
            .bind(kind)
            .fetch_one(&self.database.pool)
            .await
            .expect("a count")
    }

    pub async fn all_sent(&self, kind: &str) {
        eventually(&format!("every {kind} is sent"), || async {
            match self.unsent(kind).await {
                0 => Ok(()),
                left => Err(format!("{left} are not")),
            }
        })
        .await;
    }
}

/// A plain client of the broker.
pub struct Client {
    pub channel: Channel,
    _connection: Connection,
}

impl Client {
    pub async fn of(broker: &TestBroker) -> Self {
        let url = broker.config.url.expose_secret();
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("RabbitMQ answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { channel, _connection: connection }
    }

    /// Takes every message with this routing key from now on.
    pub async fn listen(&self, key: &str) -> Deliveries {
        let (durable, none) = (ExchangeDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
        let declared = self.channel.exchange_declare(ORDER_EVENTS.into(), ExchangeKind::Topic, durable, none.clone());
        declared.await.expect("an exchange as the services declare it");
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        self.channel.queue_declare(key.into(), exclusive, none.clone()).await.expect("a queue");
        let (exchange, bind) = (ORDER_EVENTS.into(), QueueBindOptions::default());
        self.channel.queue_bind(key.into(), exchange, key.into(), bind, none.clone()).await.expect("a binding");
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        self.channel.basic_consume(key.into(), "".into(), no_ack, none).await.expect("a consumer")
    }

    /// Publishes to the consumer under test; gives back the event's id.
    pub async fn publish(&self, payload: &[u8]) -> Uuid {
        self.offer(payload).await.expect("the consumer's queue is bound")
    }

    /// The same when the queue may not be there.
    pub async fn offer(&self, payload: &[u8]) -> Option<Uuid> {
        let id = Uuid::now_v7();
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("cloudEvents:id", id.to_string()),
            ("cloudEvents:type", "order.created".to_owned()),
            ("cloudEvents:time", TestWorld::new(1).now().to_string()),
            ("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")),
        ] {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        self.offer_with(headers, payload).await.then_some(id)
    }

    /// Publishes with headers of the test's choice, and says whether a queue took it.
    pub async fn offer_with(&self, headers: FieldTable, payload: &[u8]) -> bool {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_headers(headers);
        let (exchange, key) = (ORDER_EVENTS.into(), "order.created".into());
        let confirm = self.channel.basic_publish(exchange, key, options, payload, properties).await;
        confirm.expect("published").await.expect("confirmed").take_message().is_none()
    }
}

/// The payloads and message ids of the next `count` deliveries.
pub async fn next(deliveries: &mut Deliveries, count: usize) -> Vec<(String, Vec<u8>)> {
    let arriving = deliveries.by_ref().take(count).map(|delivery| {
        let Delivery { properties, data, .. } = delivery.expect("the connection stays");
        (properties.message_id().as_ref().expect("an id").to_string(), data)
    });
    let all = arriving.collect::<Vec<_>>();
    tokio::time::timeout(std::time::Duration::from_mins(1), all).await.expect("all arrive within a minute")
}
