//! What has served is removed after a stated time, in small batches, so that nobody waits for it. Any number of replicas may
//! sweep at once. ARCHITECTURE.md has the table of what is kept how long, and why nothing is missed afterwards.

use std::time::Duration;

use crate::Pool;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::{DbError, repeat};

const BATCH: u64 = 1000;
const EVERY: Duration = Duration::from_mins(10);

/// Rows that have served.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Their table.
    pub table: &'static str,
    /// What tells its rows apart, one column: the primary key, or `ctid`.
    pub key: &'static str,
    /// Which rows: SQL over the row, in which `$1` is `keep`. An index should serve it.
    pub when: &'static str,
    /// How long they stay.
    pub keep: Duration,
}

/// Removes `served` rows, now and every ten minutes until `shutdown`.
pub async fn sweep(served: &'static [Served], pool: Pool, shutdown: CancellationToken) {
    repeat("sweeping what has served", EVERY, &shutdown, || batch_of_each(served, &pool)).await;
}

/// Whether there may be more.
async fn batch_of_each(served: &[Served], pool: &Pool) -> Result<bool, DbError> {
    let mut more = false;
    for Served { table, key, when, keep } in served {
        let sql = format!(
            "DELETE FROM {table} WHERE {key} = ANY(ARRAY(
                 SELECT {key} FROM {table} WHERE {when} LIMIT {BATCH} FOR UPDATE SKIP LOCKED))"
        );
        let done = sqlx::query(AssertSqlSafe(sql)).bind(*keep).execute(pool).await?;
        if done.rows_affected() > 0 {
            tracing::debug!(table, rows = done.rows_affected(), "swept");
        }
        more |= done.rows_affected() == BATCH;
    }
    Ok(more)
}
