//! Duplicates are dropped by the id of the event, in the transaction of its handling.

use jiff::Timestamp;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The time by the database's clock; `None` when this event was handled before. For a handling whose one statement looks
/// again, because another copy may be handled at once.
pub async fn unheard(executor: impl PgExecutor<'_>, event: Uuid) -> sqlx::Result<Option<Timestamp>> {
    let now: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT now() WHERE NOT EXISTS (SELECT FROM inbox WHERE event_id = $1)")
            .bind(event)
            .fetch_optional(executor)
            .await?;
    Ok(now.map(jiff_sqlx::Timestamp::to_jiff))
}

/// The time of the transaction that handles this event, by the database's clock; `None` when it was handled before. Of two
/// copies handled at once, the second waits for the first.
pub async fn first_time(tx: &mut PgConnection, event: Uuid) -> sqlx::Result<Option<Timestamp>> {
    let now: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
        "INSERT INTO inbox (event_id, handled_at) VALUES ($1, now()) ON CONFLICT DO NOTHING RETURNING handled_at",
    )
    .bind(event)
    .fetch_optional(tx)
    .await?;
    Ok(now.map(jiff_sqlx::Timestamp::to_jiff))
}
