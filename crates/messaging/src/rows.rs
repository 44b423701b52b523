//! The statements of the relay.

use std::time::Duration;

use shop_db::{Pool, Served};
use shop_telemetry::Carrier;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// Sent events are kept for people to look at, handled ids far beyond any redelivery.
pub const SERVED: [Served; 2] = [
    Served { table: "outbox", key: "seq", when: "sent_at < now() - $1", keep: Duration::from_hours(24) },
    Served { table: "inbox", key: "event_id", when: "handled_at < now() - $1", keep: Duration::from_hours(7 * 24) },
];

/// One event that is not sent yet.
#[derive(sqlx::FromRow)]
pub struct Row {
    pub seq: i64,
    pub id: Uuid,
    pub exchange: String,
    pub routing_key: String,
    pub mandatory: bool,
    pub payload: Json<Box<serde_json::value::RawValue>>,
    pub trace: Json<Carrier>,
    pub occurred_at: jiff_sqlx::Timestamp,
}

/// Locks the oldest rows that are due and that no other relay has.
pub async fn claim(tx: &mut PgConnection, limit: usize) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT seq, id, exchange, routing_key, mandatory, payload, trace, occurred_at FROM outbox
         WHERE sent_at IS NULL AND available_at <= now() ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(tx)
    .await
}

pub async fn mark_sent(tx: &mut PgConnection, rows: &[&Row]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE outbox SET sent_at = now() WHERE seq = ANY($1)")
        .bind(numbers(rows))
        .execute(tx)
        .await
        .map(|_| ())
}

pub async fn postpone(tx: &mut PgConnection, rows: &[&Row], by: Duration) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE outbox SET available_at = now() + $2 WHERE seq = ANY($1)")
        .bind(numbers(rows))
        .bind(by)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The age in seconds of the oldest event that is not sent.
pub async fn lag(pool: &Pool) -> sqlx::Result<Option<i64>> {
    let query =
        "SELECT extract(epoch FROM now() - occurred_at)::bigint FROM outbox WHERE sent_at IS NULL ORDER BY seq LIMIT 1";
    sqlx::query_scalar(query).fetch_optional(pool).await
}

fn numbers(rows: &[&Row]) -> Vec<i64> {
    rows.iter().map(|row| row.seq).collect()
}
