//! From the broker to a handler. A message is acknowledged only after the handler's own commit; one that fails is published
//! to a retry queue, confirmed, and only then acknowledged.

use std::{convert::Infallible, future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shop_config::Url;
use shop_core::{Fault, Kind};
use shop_telemetry::metrics::Metrics;
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    Incoming,
    broker::{self, BrokerError, keep_connected},
    event,
    topology::{self, LONGEST_BACK_OFF, MAX_ATTEMPTS, Names},
};

/// Messages in hand at once; handlers work on all of them concurrently.
const PREFETCH: u16 = 64;
/// A connection on which the broker takes longer to answer is given up: the client can miss its end while it is being set up, and
/// would wait on it for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the dead letters are counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// What a service does with its events.
pub trait Handler: Send + Sync + 'static {
    /// What takes longer is given up and tried again later: it waits for a store that is gone without a word. Longer than any
    /// transaction of ours.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Handles one event, once or more often; when it returns `Ok`, its effects are committed. A fault of kind
    /// [`Kind::Invalid`] will never go away and makes the message a dead letter; any other is tried again later. What is
    /// [`Kind::Unavailable`] is tried until it is there again, any other fault a limited number of times.
    fn handle(&self, event: &Incoming) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Everything a consumer needs.
pub struct Consumer<H> {
    /// The service: names its queues, and its row in the table of events.
    pub service: &'static str,
    /// The broker.
    pub amqp: Url,
    /// What happens to each event.
    pub handler: H,
    /// Called each time the queues are declared and messages flow.
    pub on_ready: Box<dyn Fn() + Send + Sync>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    event: String,
    outcome: &'static str,
}

struct Run<H> {
    service: &'static str,
    names: Names,
    handler: H,
    processed: Family<Labels, Counter>,
    dead: Gauge,
}

/// Consumes until `shutdown`; what is in hand then is finished first.
pub async fn consume<H: Handler>(consumer: Consumer<H>, metrics: Metrics, shutdown: CancellationToken) {
    let Consumer { service, amqp, handler, on_ready } = consumer;
    let (processed, dead) = (Family::default(), Gauge::default());
    metrics.register(|registry| {
        registry.register("messages_processed", "Events handled, by outcome", Family::clone(&processed));
        registry.register("dead_letters", "Messages that wait for a person, those of all replicas", dead.clone());
    });
    let run = Arc::new(Run { service, names: Names::of(service), handler, processed, dead });
    keep_connected(&amqp, service, &shutdown, |connection| {
        let run = Arc::clone(&run);
        let (on_ready, shutdown) = (&on_ready, &shutdown);
        async move { run.until_lost(connection, on_ready, shutdown).await }
    })
    .await;
}

impl<H: Handler> Run<H> {
    async fn until_lost(
        &self,
        connection: Connection,
        on_ready: &(dyn Fn() + Send + Sync),
        shutdown: &CancellationToken,
    ) -> Result<(), BrokerError> {
        let subscribed = timeout(ANSWER_TIMEOUT, self.subscribe(&connection)).await;
        let (channel, deliveries) = subscribed.map_err(|_| BrokerError::Timeout)??;
        on_ready();
        let channel = Mutex::new(channel);
        let outcomes = deliveries
            .take_until(shutdown.cancelled())
            .map(|delivery| async { self.process(&channel, delivery?).await })
            .buffer_unordered(usize::from(PREFETCH));
        tokio::select! {
            outcome = finish(outcomes) => outcome?,
            Err(error) = self.count_dead(&connection) => return Err(error),
        }
        if shutdown.is_cancelled() {
            broker::close(connection).await;
            return Ok(());
        }
        Err(BrokerError::ConsumerClosed)
    }

    async fn subscribe(&self, connection: &Connection) -> Result<(Channel, lapin::Consumer), BrokerError> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        topology::declare_consumer(&channel, self.service, &self.names).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) = (self.names.queue.as_str().into(), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((channel, deliveries))
    }

    async fn process(&self, channel: &Mutex<Channel>, delivery: Delivery) -> Result<(), BrokerError> {
        let Delivery { properties, data, acker, routing_key, .. } = delivery;
        let data = Bytes::from(data);
        let (kind, outcome) = match Incoming::read(&properties, data.clone()) {
            Ok(event) => {
                let span = self.span(&event);
                let outcome = match self.handle(&event).instrument(span.clone()).await {
                    Ok(()) => "handled",
                    Err(fault) => {
                        let disposal = Disposal::of(&fault, event.attempt);
                        span.in_scope(|| disposal.log(&fault, &event));
                        let properties = event::with_error(properties, &fault);
                        let properties = event::with_attempt(properties, disposal.attempt(event.attempt));
                        self.dispose(channel, disposal, &data, properties).await?
                    }
                };
                (event.kind, outcome)
            }
            Err(fault) => {
                tracing::error!(error.cause = %fault, routing_key = %routing_key, "a message that is no event of ours was parked");
                let properties = event::with_attempt(event::with_error(properties, &fault), 1);
                ("unreadable".to_owned(), self.dispose(channel, Disposal::Park, &data, properties).await?)
            }
        };
        acker.ack(BasicAckOptions::default()).await?;
        self.processed.get_or_create(&Labels { event: kind, outcome }).inc();
        Ok(())
    }

    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        // A bug that one message brings out must not end the consumer for all others.
        let handling = AssertUnwindSafe(self.handler.handle(event)).catch_unwind();
        match timeout(H::PATIENCE, handling).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Fault::internal("the handler panicked")),
            Err(_) => Err(Fault::unavailable("A store").caused_by(format!("no end within {:?}", H::PATIENCE))),
        }
    }

    /// Keeps the gauge of the dead letters right until the connection is lost, also if nobody but the missing answer says so.
    async fn count_dead(&self, connection: &Connection) -> Result<Infallible, BrokerError> {
        let opened = timeout(ANSWER_TIMEOUT, connection.create_channel()).await;
        let channel = opened.map_err(|_| BrokerError::Timeout)??;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        loop {
            let asked = channel.queue_declare(self.names.dead.as_str().into(), passive, FieldTable::default());
            match timeout(ANSWER_TIMEOUT, asked).await {
                Ok(state) => {
                    self.dead.set(i64::from(state?.message_count()));
                }
                // A broker without memory or disk answers later, and would not answer a new connection either.
                Err(_) if connection.status().blocked() => {}
                Err(_) => return Err(BrokerError::Timeout),
            }
            sleep(COUNT_EVERY).await;
        }
    }

    /// Names and attributes follow OpenTelemetry's semantic conventions for messaging (development). The producer is the
    /// parent, not a link: one order is one trace.
    fn span(&self, event: &Incoming) -> Span {
        let span = tracing::info_span!(
            "process",
            otel.name = format!("process {}", event.kind),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = self.names.queue,
            messaging.rabbitmq.destination.routing_key = event.kind,
            messaging.message.id = %event.id,
        );
        event.trace.parent_of(&span);
        span
    }

    /// Puts a message that failed where it belongs; the caller then acknowledges the original. One at a time: the client
    /// hands a returned message to any of the confirms that arrive together.
    async fn dispose(
        &self,
        channel: &Mutex<Channel>,
        disposal: Disposal,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Result<&'static str, BrokerError> {
        let (exchange, key, outcome) = match disposal {
            Disposal::Retry { attempt } => {
                let queue = self.names.retry_queue(attempt);
                (&self.names.retry, queue, "retried")
            }
            Disposal::Park => (&self.names.dead_exchange, String::new(), "parked"),
        };
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let channel = channel.lock().await;
        let confirm =
            channel.basic_publish(exchange.as_str().into(), key.as_str().into(), options, payload, properties).await?;
        match confirm.await? {
            Confirmation::Ack(None) => Ok(outcome),
            // Not acknowledged: the broker gives it to us again after the reconnect.
            _ => Err(BrokerError::NotTaken(exchange.clone())),
        }
    }
}

/// Drives what is in hand until the stream ends or one of them fails.
async fn finish(outcomes: impl Stream<Item = Result<(), BrokerError>>) -> Result<(), BrokerError> {
    let mut outcomes = pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposal {
    Retry { attempt: u32 },
    Park,
}

impl Disposal {
    fn of(fault: &Fault, failed_before: u32) -> Self {
        let attempt = failed_before.saturating_add(1);
        match fault.kind() {
            // However long a store is away: the message can be handled once it is back, and nobody has to replay it. This counts
            // as far as it makes the pauses longer, so that afterwards there are tries left for failures of another kind.
            Kind::Unavailable { .. } => Self::Retry { attempt: attempt.min(failed_before.max(LONGEST_BACK_OFF)) },
            Kind::Invalid => Self::Park,
            _ if attempt >= MAX_ATTEMPTS => Self::Park,
            _ => Self::Retry { attempt },
        }
    }

    /// How often the message has failed by now, as it is written on it.
    fn attempt(self, failed_before: u32) -> u32 {
        match self {
            Self::Retry { attempt } => attempt,
            Self::Park => failed_before.saturating_add(1),
        }
    }

    fn log(self, fault: &Fault, event: &Incoming) {
        Span::current().record("otel.status_code", "ERROR");
        let cause = fault.cause().unwrap_or_default();
        match self {
            Self::Retry { attempt } => {
                tracing::warn!(event.kind = event.kind, event.id = %event.id, attempt, error.cause = cause, "{fault}; tried again later");
            }
            Self::Park => {
                tracing::error!(event.kind = event.kind, event.id = %event.id, error.cause = cause, "{fault}; parked as a dead letter");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_can_never_be_handled_is_parked_at_once_and_one_that_fails_for_no_known_reason_after_ten_tries() {
        assert_eq!(Disposal::of(&Fault::invalid("bad"), 0), Disposal::Park);
        assert_eq!(Disposal::of(&Fault::internal("x"), 0), Disposal::Retry { attempt: 1 });
        assert_eq!(Disposal::of(&Fault::internal("x"), 9), Disposal::Park);
    }

    #[test]
    fn a_message_that_waits_for_a_store_waits_as_long_as_it_takes() {
        let away = Fault::unavailable("x");
        let next = |failed| if let Disposal::Retry { attempt } = Disposal::of(&away, failed) { attempt } else { 0 };
        assert_eq!([0, 1, 2, 3, 4, 9].map(next), [1, 2, 3, 4, 4, 9]);
        assert_eq!(Disposal::of(&Fault::internal("x"), next(4)), Disposal::Retry { attempt: 5 });
    }
}
