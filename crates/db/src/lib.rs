//! PostgreSQL: pools that wait for no one, migrations that first create their own role and database, database errors as
//! faults, workers on rows that are due, the sweep of rows that have served, and answers that are kept for requests that
//! come twice.
//!
//! What processes compare is compared by their database's clock: leases, due times, ends, ages. It is written and read as
//! `now()` in the statement itself, which is one time for the whole transaction and the same for every process, however
//! wrong their own clocks are. A rule that needs it as a value gets it from a statement that is made anyway. Only what is
//! shown and compared with nothing is of the [`World`]'s time.

mod error;
pub mod idempotency;
mod migrate;
mod pool;
mod repeat;
mod saturation;
mod sweep;
mod worker;

use std::time::Duration;

use jiff::Timestamp;
use shop_core::World;
use tokio::time::timeout;

pub use error::{DbError, on_constraint, violates};
pub use migrate::migrate;
pub use pool::{Lease, Pool, Transaction};
pub use repeat::repeat;
pub use saturation::count_connections;
pub use sweep::{Served, sweep};
pub use worker::{Wake, Work, Worker};

/// What comes of `work`, or the error of a server that is gone without a word: its connection alone would wait for ever.
pub async fn within<T, E: From<sqlx::Error>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(patience, work).await.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into()).into()))
}

/// Whether the database answers, for readiness.
pub async fn ping(pool: Pool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(&pool).await.map(|_| ())
}

/// Now, as exactly as PostgreSQL keeps it, so that an answer is the same before and after it was stored.
#[must_use]
pub fn now(world: &dyn World) -> Timestamp {
    let now = world.now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
