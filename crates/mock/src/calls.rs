//! The calls a provider has had, so that it counts on after a restart and beside other replicas.

use shop_db::Pool;
use sqlx::FromRow;
use uuid::Uuid;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Call {
    /// Which key this is, of all the provider has heard of: 1 is the first.
    pub nth: i64,
    /// Which call for this key: 1 is the first.
    pub attempt: i32,
}

/// Counts one more call for `key` in the table `mock_calls` of the service's database.
pub(crate) async fn count(books: &Pool, key: Uuid) -> sqlx::Result<Call> {
    // The update comes first, because an insert that meets a conflict has used up a number all the same.
    sqlx::query_as(
        "WITH again AS (
             UPDATE mock_calls SET attempt = attempt + 1, called_at = now() WHERE key = $1 RETURNING nth, attempt
         ), first AS (
             INSERT INTO mock_calls (key, attempt, called_at) SELECT $1, 1, now() WHERE NOT EXISTS (SELECT FROM again)
             ON CONFLICT ON CONSTRAINT mock_calls_pkey DO UPDATE SET attempt = mock_calls.attempt + 1
             RETURNING nth, attempt
         )
         SELECT nth, attempt FROM again UNION ALL SELECT nth, attempt FROM first",
    )
    .bind(key)
    .fetch_one(books)
    .await
}
