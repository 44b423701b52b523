//! From the outbox to the broker. A row is marked sent only when the broker confirmed it and had a queue for it; a crash in
//! between sends it twice, which consumers notice by its id. Several relays take different rows, so events overtake each
//! other: consumers cannot rely on an order anyway, since they work on many at once.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use lapin::{
    Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shop_config::Url;
use shop_db::{DbError, Pool};
use shop_telemetry::{Carrier, metrics::Metrics};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field::Empty};
use uuid::Uuid;

use crate::{
    Outbox,
    broker::{self, BrokerError, keep_connected},
    event,
    rows::{self, Row},
    topology,
};

const BATCH: usize = 500;
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// The confirms and the statements around them.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// From one batch to the next. A batch of many costs little more than a batch of one, so what is written meanwhile goes together.
const PACE: Duration = Duration::from_millis(20);
/// A consumer that is just starting declares its queue soon; what the broker refuses needs a person.
const UNROUTABLE_PAUSE: Duration = Duration::from_secs(1);
const REFUSED_PAUSE: Duration = Duration::from_mins(1);
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Publishes what `service` writes to its outbox until `shutdown`. Any number of replicas may run it at once.
pub async fn relay(
    service: &'static str,
    amqp: Url,
    pool: Pool,
    outbox: Outbox,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let name = format!("{service} relay");
    let sweep = shop_db::sweep(&rows::SERVED, pool.clone(), shutdown.clone());
    let relay = Relay { service, pool, outbox, numbers: Numbers::register(&metrics) };
    tokio::join!(
        keep_connected(&amqp, &name, &shutdown, |connection| relay.run(connection, &shutdown)),
        shop_db::repeat("measuring the outbox", MEASURE_EVERY, &shutdown, || relay.measure()),
        sweep,
    );
}

struct Relay {
    service: &'static str,
    pool: Pool,
    outbox: Outbox,
    numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

struct Numbers {
    published: Family<Labels, Counter>,
    lag: Gauge,
}

impl Numbers {
    fn register(metrics: &Metrics) -> Self {
        let (published, lag) = (Family::default(), Gauge::default());
        metrics.register(|registry| {
            registry.register("outbox_published", "Events given to the broker, by outcome", Family::clone(&published));
            registry.register("outbox_lag_seconds", "Age of the oldest event that is not sent", lag.clone());
        });
        Self { published, lag }
    }

    fn count(&self, outcome: &'static str, events: usize) {
        self.published.get_or_create(&Labels { outcome }).inc_by(u64::try_from(events).unwrap_or(u64::MAX));
    }
}

/// What the broker said to a batch.
#[derive(Default)]
struct Answers {
    answered: HashSet<Uuid>,
    /// What it had no queue for, which it confirms as well, and what it cannot take now.
    kept: HashSet<Uuid>,
    /// It closed the channel over one of the events.
    refusal: Option<lapin::Error>,
    /// The connection is gone.
    loss: Option<lapin::Error>,
}

/// A batch after what was confirmed has been marked.
struct Batch {
    found: usize,
    /// Rows about which the broker said nothing.
    unanswered: usize,
    /// It closed the channel over one of them.
    refused: bool,
}

impl Relay {
    async fn run(&self, connection: Connection, shutdown: &CancellationToken) -> Result<(), BrokerError> {
        let opened = timeout(CONFIRM_TIMEOUT, open_channel(&connection)).await;
        let mut channel = opened.map_err(|_| BrokerError::Timeout)??;
        let mut poll = SHORTEST_POLL;
        // When the broker closes the channel over a row, as many rows as were under way go one by one, until it is found.
        let mut singly = 0;
        while !shutdown.is_cancelled() {
            let limit = if singly > 0 { 1 } else { BATCH };
            let next = Instant::now() + PACE;
            let batch = match shop_db::within(BATCH_TIMEOUT, Box::pin(self.publish_batch(&channel, limit))).await {
                // The connection to the broker is as good as before.
                Err(BrokerError::Database(error)) => {
                    tracing::warn!(error.cause = %error, "the outbox cannot be read or marked, trying again");
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        () = sleep(LONGEST_POLL) => continue,
                    }
                }
                outcome => outcome?,
            };
            singly = usize::saturating_sub(singly, 1);
            if batch.unanswered > 0 {
                until_open(&connection, shutdown).await;
                channel = tokio::select! {
                    reopened = timeout(CONFIRM_TIMEOUT, open_channel(&connection)) => reopened.map_err(|_| BrokerError::Timeout)??,
                    () = shutdown.cancelled() => return Ok(()),
                };
                if limit > 1 && batch.refused {
                    singly = batch.unanswered;
                }
                continue;
            }
            if batch.found == limit {
                continue;
            }
            singly = 0;
            poll = if batch.found > 0 { SHORTEST_POLL } else { (poll * 2).min(LONGEST_POLL) };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.outbox.written() => sleep_until(next).await,
                () = sleep(poll) => {}
            }
        }
        if !connection.status().blocked() {
            // What was committed while the last request ended still goes out.
            shop_db::within(BATCH_TIMEOUT, Box::pin(self.publish_batch(&channel, BATCH))).await?;
        }
        broker::close(connection).await;
        Ok(())
    }

    /// Publishes one batch and marks what was answered. The rows stay locked until then.
    async fn publish_batch(&self, channel: &Channel, limit: usize) -> Result<Batch, BrokerError> {
        let mut tx = self.pool.begin().await?;
        let rows = rows::claim(&mut tx, limit).await?;
        if rows.is_empty() {
            return Ok(Batch { found: 0, unanswered: 0, refused: false });
        }
        let Answers { answered, kept, refusal, loss } = self.publish_all(channel, &rows).await;
        let unanswered = rows.len() - answered.len();
        let (kept, sent): (Vec<&Row>, Vec<&Row>) =
            rows.iter().filter(|row| answered.contains(&row.id)).partition(|row| kept.contains(&row.id));
        rows::mark_sent(&mut tx, &sent).await?;
        rows::postpone(&mut tx, &kept, UNROUTABLE_PAUSE).await?;
        self.numbers.count("sent", sent.len());
        self.numbers.count("unroutable", kept.len());
        if !kept.is_empty() {
            tracing::warn!(events = kept.len(), "no queue is bound for some events yet; they are kept");
        }
        if let (Some(error), [row]) = (&refusal, rows.as_slice()) {
            tracing::error!(error.cause = %error, event.kind = row.routing_key, event.id = %row.id, "the broker refuses an event; it is kept");
            rows::postpone(&mut tx, &[row], REFUSED_PAUSE).await?;
            self.numbers.count("refused", 1);
        }
        tx.commit().await?;
        match loss {
            Some(error) if refusal.is_none() => Err(error.into()),
            _ => Ok(Batch { found: rows.len(), unanswered, refused: refusal.is_some() }),
        }
    }

    async fn publish_all(&self, channel: &Channel, rows: &[Row]) -> Answers {
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        let mut answers = Answers::default();
        let mut pending: FuturesUnordered<_> =
            rows.iter().map(|row| async { (row.id, self.publish(channel, row).await) }).collect();
        while let Ok(Some((id, answer))) = timeout_at(deadline, pending.next()).await {
            match answer {
                Ok(confirmation) => {
                    answers.answered.insert(id);
                    if !confirmation.is_ack() {
                        answers.kept.insert(id);
                    }
                    // The client hands a returned message to any of the confirms that arrive together: its own id counts.
                    let returned = confirmation.take_message();
                    answers.kept.extend(returned.and_then(|message| event::id(&message.properties)));
                }
                Err(error) if error.is_amqp_soft_error() => answers.refusal = Some(error),
                Err(error) => answers.loss = Some(error),
            }
        }
        answers
    }

    async fn publish(&self, channel: &Channel, row: &Row) -> lapin::Result<Confirmation> {
        let span = tracing::info_span!(
            "publish",
            otel.name = format!("publish {}", row.routing_key),
            otel.kind = "producer",
            otel.status_code = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = row.exchange,
            messaging.rabbitmq.destination.routing_key = row.routing_key,
            messaging.message.id = %row.id,
        );
        row.trace.parent_of(&span);
        let source = format!("/shopkeeper/{}", self.service);
        let properties =
            event::properties(row.id, &row.routing_key, &source, row.occurred_at.to_jiff(), &Carrier::of(&span));
        let options = BasicPublishOptions { mandatory: row.mandatory, ..BasicPublishOptions::default() };
        async {
            let confirm = channel
                .basic_publish(
                    row.exchange.as_str().into(),
                    row.routing_key.as_str().into(),
                    options,
                    row.payload.get().as_bytes(),
                    properties,
                )
                .await?;
            confirm.await
        }
        .instrument(span)
        .await
    }

    async fn measure(&self) -> Result<bool, DbError> {
        self.numbers.lag.set(rows::lag(&self.pool).await?.unwrap_or_default());
        Ok(false)
    }
}

async fn open_channel(connection: &Connection) -> Result<Channel, BrokerError> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    topology::declare_exchanges(&channel).await?;
    Ok(channel)
}

/// Waits while the broker, out of memory or disk, reads nothing from us. The connection is kept: a new one would be blocked
/// as well, and the client can only let go of the old one, with all it has to send, once the broker reads again.
async fn until_open(connection: &Connection, shutdown: &CancellationToken) {
    let status = connection.status();
    if status.blocked() {
        tracing::warn!("RabbitMQ takes no messages (its memory or disk is used up); events wait in the outbox");
    }
    while status.blocked() && status.connected() && !shutdown.is_cancelled() {
        sleep(SHORTEST_POLL).await;
    }
}
