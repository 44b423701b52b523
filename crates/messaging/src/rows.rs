//! The statements of the relay.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use shop_db::Served;
use shop_telemetry::Carrier;
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

/// Sent events are kept for people to look at, handled ids far beyond any redelivery.
pub const SERVED: [Served; 2] = [
    Served { table: "outbox", key: "seq", when: "sent_at < $1", keep: SignedDuration::from_hours(24) },
    Served { table: "inbox", key: "event_id", when: "handled_at < $1", keep: SignedDuration::from_hours(7 * 24) },
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
pub async fn claim(tx: &mut PgConnection, now: Timestamp, limit: usize) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT seq, id, exchange, routing_key, mandatory, payload, trace, occurred_at FROM outbox
         WHERE sent_at IS NULL AND available_at <= $1 ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(now.to_sqlx())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(tx)
    .await
}

pub async fn mark_sent(tx: &mut PgConnection, rows: &[&Row], now: Timestamp) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE outbox SET sent_at = $2 WHERE seq = ANY($1)")
        .bind(numbers(rows))
        .bind(now.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}

pub async fn postpone(tx: &mut PgConnection, rows: &[&Row], until: Timestamp) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE outbox SET available_at = $2 WHERE seq = ANY($1)")
        .bind(numbers(rows))
        .bind(until.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}

pub async fn oldest_unsent(pool: &PgPool) -> sqlx::Result<Option<Timestamp>> {
    let oldest: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT occurred_at FROM outbox WHERE sent_at IS NULL ORDER BY seq LIMIT 1")
            .fetch_optional(pool)
            .await?;
    Ok(oldest.map(jiff_sqlx::Timestamp::to_jiff))
}

fn numbers(rows: &[&Row]) -> Vec<i64> {
    rows.iter().map(|row| row.seq).collect()
}
