//! Duplicates are dropped by the id of the event, in the transaction of its handling.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

/// Whether this event is handled for the first time. Of two copies handled at once, the second waits for the first.
pub async fn first_time(tx: &mut PgConnection, event: Uuid, now: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query("INSERT INTO inbox (event_id, handled_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(event)
        .bind(now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
