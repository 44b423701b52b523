//! From the outbox to the broker. A row is marked sent only when the broker confirmed it and had a queue for it; a crash in
//! between sends it twice, which consumers notice by its id.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use lapin::{
    Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use shop_config::Url;
use shop_core::World;
use shop_db::Served;
use shop_telemetry::Carrier;
use sqlx::{PgConnection, PgPool, types::Json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field::Empty};
use uuid::Uuid;

use crate::{Outbox, broker::BrokerError, broker::keep_connected, event, topology};

const BATCH: i64 = 500;
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(1);
const UNROUTABLE_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Sent events are kept for people to look at, handled ids far beyond any redelivery.
const SERVED: [Served; 2] = [
    Served { table: "outbox", key: "seq", when: "sent_at < $1", keep: SignedDuration::from_hours(24) },
    Served { table: "inbox", key: "event_id", when: "handled_at < $1", keep: SignedDuration::from_hours(7 * 24) },
];

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    id: Uuid,
    exchange: String,
    routing_key: String,
    mandatory: bool,
    payload: Json<Box<serde_json::value::RawValue>>,
    trace: Json<Carrier>,
    occurred_at: jiff_sqlx::Timestamp,
}

/// Publishes what `service` writes to its outbox until `shutdown`. Any number of replicas may run it at once.
pub async fn relay(
    service: &'static str,
    amqp: Url,
    pool: PgPool,
    outbox: Outbox,
    world: Arc<dyn World>,
    shutdown: CancellationToken,
) {
    let name = format!("{service} relay");
    let sweep = shop_db::sweep(&SERVED, pool.clone(), Arc::clone(&world), shutdown.clone());
    let relay = Relay { service, pool, outbox, world };
    tokio::join!(keep_connected(&amqp.url, &name, &shutdown, |connection| relay.run(connection, &shutdown)), sweep,);
}

struct Relay {
    service: &'static str,
    pool: PgPool,
    outbox: Outbox,
    world: Arc<dyn World>,
}

impl Relay {
    async fn run(&self, connection: Connection, shutdown: &CancellationToken) -> Result<(), BrokerError> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        topology::declare_exchanges(&channel).await?;
        let mut poll = SHORTEST_POLL;
        while !shutdown.is_cancelled() {
            let found = self.publish_batch(&channel).await?;
            if found == BATCH {
                continue;
            }
            poll = if found > 0 { SHORTEST_POLL } else { (poll * 2).min(LONGEST_POLL) };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.outbox.written() => {}
                () = sleep(poll) => {}
            }
        }
        // What was committed while the last request ended still goes out.
        self.publish_batch(&channel).await?;
        connection.close(200, "bye".into()).await?;
        Ok(())
    }

    /// Publishes one batch and says how many rows it found. The rows stay locked until they are marked.
    async fn publish_batch(&self, channel: &Channel) -> Result<i64, BrokerError> {
        let mut tx = self.pool.begin().await?;
        let now = self.world.now();
        let rows = claim(&mut tx, now).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let publishing = join_all(rows.iter().map(|row| self.publish(channel, row)));
        let outcomes = timeout(CONFIRM_TIMEOUT, publishing).await.map_err(|_| BrokerError::Timeout)?;
        let (mut sent, mut unroutable) = (Vec::new(), Vec::new());
        for (row, outcome) in rows.iter().zip(outcomes) {
            if outcome? { sent.push(row.seq) } else { unroutable.push(row.seq) }
        }
        mark(&mut tx, &sent, &unroutable, now).await?;
        tx.commit().await?;
        if !unroutable.is_empty() {
            tracing::warn!(events = unroutable.len(), "no queue is bound for some events yet; they are kept");
        }
        Ok(i64::try_from(rows.len()).unwrap_or(BATCH))
    }

    /// Publishes one row; `false` when the broker took it and had no queue for it.
    async fn publish(&self, channel: &Channel, row: &Row) -> Result<bool, BrokerError> {
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
            Ok(matches!(confirm.await?, Confirmation::Ack(None)))
        }
        .instrument(span)
        .await
    }
}

async fn claim(tx: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT seq, id, exchange, routing_key, mandatory, payload, trace, occurred_at FROM outbox
         WHERE sent_at IS NULL AND available_at <= $1 ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(now.to_sqlx())
    .bind(BATCH)
    .fetch_all(tx)
    .await
}

async fn mark(tx: &mut PgConnection, sent: &[i64], unroutable: &[i64], now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("UPDATE outbox SET sent_at = $2 WHERE seq = ANY($1)")
        .bind(sent)
        .bind(now.to_sqlx())
        .execute(&mut *tx)
        .await?;
    if !unroutable.is_empty() {
        sqlx::query("UPDATE outbox SET available_at = $2 WHERE seq = ANY($1)")
            .bind(unroutable)
            .bind((now + UNROUTABLE_PAUSE).to_sqlx())
            .execute(tx)
            .await?;
    }
    Ok(())
}
