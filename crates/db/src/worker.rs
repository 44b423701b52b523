//! Rows that are work: the column `due_at` says when the next step of a row is to be done.
//!
//! A claim moves `due_at` to the end of a lease and commits, so no transaction is open while a step runs and talks to somebody
//! outside. A step that succeeds sets `due_at` itself, to NULL when nothing is left. One that fails comes up again after a
//! back-off, and one whose process died when its lease ends, in whichever replica looks first: a step may run twice.
//!
//! Due times and leases are of the database's clock. Who was frozen past the end of its lease finds another `due_at` in the
//! row: the step is somebody else's by then.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use shop_core::Fault;
use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Pool, within};

/// Steps at once: they mostly wait for somebody outside, and hold no connection meanwhile.
const CONCURRENCY: usize = 512;
const SHORTEST_POLL: Duration = Duration::from_millis(20);
/// From one claim to the next. A claim of many costs little more than a claim of one, so what falls due meanwhile goes together.
const PACE: Duration = Duration::from_millis(20);
/// How late a row is found that another replica wrote and did not live to work on.
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// A statement, and a connection for it; the statement alone is ended by the server before.
const STATEMENT: Duration = Duration::from_secs(10);
/// What a lease has beyond the longest step, for the claim and the commit around it.
const MARGIN: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(1);

/// What is done with the rows of one table.
pub trait Work: Send + Sync + 'static {
    /// A table with the columns `id uuid`, `due_at timestamptz` (NULL: nothing to do; indexed where it is not) and
    /// `attempts integer NOT NULL`, which counts the claims since it was last set to zero.
    const TABLE: &'static str;
    /// A row of it.
    type Row: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static;

    /// Does the next step of a row that was claimed at `now`. It may have been done before, up to any point but its commit.
    fn step(&self, row: Self::Row, now: Timestamp) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Tells a worker of this process that a row is due; a clone wakes the same worker.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// To be called after the commit.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Works on the due rows of one table. Any number of replicas may run at once.
pub struct Worker<W> {
    /// What is done with a row.
    pub work: W,
    /// The table's database.
    pub pool: Pool,
    /// Woken by this.
    pub wake: Wake,
    /// A step that takes longer is given up, and tried again.
    pub patience: Duration,
}

#[derive(FromRow)]
struct Claimed<T> {
    id: Uuid,
    attempts: i32,
    due_at: jiff_sqlx::Timestamp,
    now: jiff_sqlx::Timestamp,
    #[sqlx(flatten)]
    row: T,
}

impl<W: Work> Worker<W> {
    /// Works until `shutdown`; steps that run then are finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker = Arc::new(self);
        let mut steps = JoinSet::new();
        while !shutdown.is_cancelled() {
            let free = CONCURRENCY - steps.len();
            let next = Instant::now() + PACE;
            let claimed = worker.claim(free).await.unwrap_or_else(|error| {
                tracing::warn!(error.cause = %error, table = W::TABLE, "due rows cannot be claimed");
                Vec::new()
            });
            let found = claimed.len();
            for row in claimed {
                let worker = Arc::clone(&worker);
                steps.spawn(async move { worker.run_step(row).await });
            }
            if found > 0 && found == free {
                continue;
            }
            let pause = if found > 0 { SHORTEST_POLL } else { worker.until_due().await };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = worker.wake.0.notified() => sleep_until(next).await,
                () = sleep(pause) => {}
            }
            while let Some(ended) = steps.try_join_next() {
                log_panic::<W>(ended);
            }
            if steps.len() == CONCURRENCY
                && let Some(ended) = steps.join_next().await
            {
                log_panic::<W>(ended);
            }
        }
        while let Some(ended) = steps.join_next().await {
            log_panic::<W>(ended);
        }
    }

    async fn run_step(&self, claimed: Claimed<W::Row>) {
        let Claimed { id, attempts, due_at, now, row } = claimed;
        let outcome = match timeout(self.patience, self.work.step(row, now.to_jiff())).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Fault::unavailable("Somebody outside").caused_by(format!("no end within {:?}", self.patience)))
            }
        };
        let Err(fault) = outcome else { return };
        let cause = fault.cause().unwrap_or_default();
        tracing::warn!(table = W::TABLE, row = %id, attempts, error.cause = cause, "{fault}; the step is tried again");
        if let Err(error) = self.postpone(id, due_at, back_off(attempts)).await {
            tracing::warn!(table = W::TABLE, row = %id, error.cause = %error, "tried again when the lease ends");
        }
    }

    async fn claim(&self, limit: usize) -> sqlx::Result<Vec<Claimed<W::Row>>> {
        let sql = format!(
            "UPDATE {table} SET due_at = now() + $1, attempts = attempts + 1
             WHERE id = ANY(ARRAY(
                 SELECT id FROM {table} WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING *, now() AS now",
            table = W::TABLE,
        );
        let claim = sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.patience + MARGIN)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool);
        within(STATEMENT, claim).await
    }

    /// Time until the next row is due, as far as the database knows today.
    async fn until_due(&self) -> Duration {
        let sql = format!(
            "SELECT extract(epoch FROM min(due_at) - now())::double precision FROM {} WHERE due_at IS NOT NULL",
            W::TABLE
        );
        let left: sqlx::Result<Option<f64>> =
            within(STATEMENT, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool)).await;
        match left {
            Ok(Some(left)) => pause(left),
            // The claim has already said why the database does not answer.
            Ok(None) | Err(_) => LONGEST_POLL,
        }
    }

    /// Puts off a row that nobody else has touched since it was claimed.
    async fn postpone(&self, id: Uuid, lease: jiff_sqlx::Timestamp, by: Duration) -> sqlx::Result<()> {
        let sql = format!("UPDATE {} SET due_at = now() + $3 WHERE id = $1 AND due_at = $2", W::TABLE);
        let postpone = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(lease).bind(by).execute(&self.pool);
        within(STATEMENT, postpone).await.map(|_| ())
    }
}

/// How long a worker sleeps when its next row is due in so many seconds.
fn pause(left: f64) -> Duration {
    // What is due already is locked by somebody at this moment.
    Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(LONGEST_POLL).clamp(SHORTEST_POLL, LONGEST_POLL)
}

fn back_off(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(6);
    Duration::from_secs(1 << doublings).min(LONGEST_BACK_OFF)
}

fn log_panic<W: Work>(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error.cause = %error, table = W::TABLE, "a step panicked; its row comes up again when its lease ends");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_keeps_failing_is_tried_less_and_less_often() {
        let pauses: Vec<u64> = [1, 2, 3, 6, 7, 50].map(|attempts| back_off(attempts).as_secs()).to_vec();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }

    #[test]
    fn the_worker_sleeps_until_a_row_is_due_and_never_longer_than_a_second() {
        assert_eq!([-1.0, 0.0].map(pause), [SHORTEST_POLL; 2]);
        assert_eq!(pause(0.3), Duration::from_millis(300));
        assert_eq!([5.0, f64::INFINITY].map(pause), [LONGEST_POLL; 2]);
    }
}
