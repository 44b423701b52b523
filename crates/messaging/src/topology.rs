//! Exchanges and queues, declared by every consumer on every connect; declaring what is there changes nothing.
//!
//! A consumer `svc` owns a quorum queue `svc.events`, a retry queue for each back-off, and `svc.events.dead`. A message that
//! waits in a retry queue dies of its time to live and comes back through the exchange `svc.requeue`.

use std::time::Duration;

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use shop_config::Url;
use shop_proto::events::{ORDER_EVENTS, PRODUCT_EVENTS, consumed_by};

use crate::{BrokerError, broker};

/// The first attempt after which the pause is the longest.
pub const LONGEST_BACK_OFF: u32 = 4;
/// Times between attempts; the last is repeated.
pub const BACK_OFF: [Duration; LONGEST_BACK_OFF as usize] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_mins(2)];
/// After this many failures a message is a dead letter, about a quarter of an hour after the first; unless the last one was that
/// a store is away.
pub const MAX_ATTEMPTS: u32 = 10;
/// A consumer that crashes on a message gets it this often before the broker parks it.
const DELIVERY_LIMIT: i64 = 20;

/// The names of one consumer's queues and exchanges.
#[derive(Clone, Debug)]
pub struct Names {
    /// Where events arrive.
    pub queue: String,
    /// Parked messages.
    pub dead: String,
    /// Exchange into the retry queues; the routing key is the queue.
    pub retry: String,
    /// Exchange back into the queue.
    pub requeue: String,
    /// Exchange into the parked messages.
    pub dead_exchange: String,
}

impl Names {
    /// The names of `service`.
    #[must_use]
    pub fn of(service: &str) -> Self {
        Self {
            queue: format!("{service}.events"),
            dead: format!("{service}.events.dead"),
            retry: format!("{service}.retry"),
            requeue: format!("{service}.requeue"),
            dead_exchange: format!("{service}.dead"),
        }
    }

    /// The retry queue of the `attempt`th failure.
    #[must_use]
    pub fn retry_queue(&self, attempt: u32) -> String {
        let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(BACK_OFF.len() - 1);
        format!("{}.retry.{}s", self.queue, BACK_OFF[step].as_secs())
    }
}

/// Connects to the broker and declares what `service` publishes to and consumes from. A second time changes nothing.
pub async fn declare(amqp: &Url, service: &str) -> Result<(), BrokerError> {
    let connection = broker::open(amqp, service).await?;
    let channel = connection.create_channel().await?;
    declare_consumer(&channel, service, &Names::of(service)).await?;
    broker::close(connection).await;
    Ok(())
}

/// Declares the two topic exchanges every event goes through.
pub(crate) async fn declare_exchanges(channel: &Channel) -> lapin::Result<()> {
    for exchange in [ORDER_EVENTS, PRODUCT_EVENTS] {
        declare_exchange(channel, exchange, ExchangeKind::Topic).await?;
    }
    Ok(())
}

/// Declares everything `service` consumes from.
pub(crate) async fn declare_consumer(channel: &Channel, service: &str, names: &Names) -> lapin::Result<()> {
    declare_exchanges(channel).await?;
    declare_exchange(channel, &names.requeue, ExchangeKind::Fanout).await?;
    declare_exchange(channel, &names.retry, ExchangeKind::Direct).await?;
    declare_exchange(channel, &names.dead_exchange, ExchangeKind::Fanout).await?;

    declare_queue(channel, &names.dead, FieldTable::default()).await?;
    bind(channel, &names.dead, &names.dead_exchange, "").await?;

    let mut limits = dead_lettering_to(&names.dead_exchange);
    limits.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    declare_queue(channel, &names.queue, limits).await?;
    bind(channel, &names.queue, &names.requeue, "").await?;
    for route in consumed_by(service) {
        bind(channel, &names.queue, route.exchange, route.key).await?;
    }

    for (attempt, pause) in (1..).zip(BACK_OFF) {
        let queue = names.retry_queue(attempt);
        let mut waiting = dead_lettering_to(&names.requeue);
        let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        waiting.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
        declare_queue(channel, &queue, waiting).await?;
        bind(channel, &queue, &names.retry, &queue).await?;
    }
    Ok(())
}

/// At-least-once dead-lettering needs `reject-publish`: a message that cannot move on stays where it is.
fn dead_lettering_to(exchange: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-dead-letter-exchange", exchange),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

async fn declare_queue(channel: &Channel, name: &str, mut arguments: FieldTable) -> lapin::Result<()> {
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await.map(|_| ())
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default())
        .await
}
