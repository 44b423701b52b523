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
mod repeat;
mod saturation;
mod sweep;
mod worker;

use std::time::Duration;

use futures::future::FutureExt as _;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use shop_config::Postgres;
use shop_core::World;
use sqlx::{
    PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

pub use error::{DbError, on_constraint};
pub use migrate::migrate;
pub use repeat::repeat;
pub use saturation::count_connections;
pub use sweep::{Served, sweep};
pub use worker::{Wake, Work, Worker};

/// A request that cannot get a connection within this time is better refused.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that is given back answers within this time, or is given up: the other side may be gone without a word.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// What the server is told about our sessions.
const SESSION: [(&str, &str); 6] = [
    // Longer than any statement of ours; a lock held by somebody else ends here and not in the client's patience.
    ("statement_timeout", "5s"),
    // A process that is gone without a word, or cannot be reached, does not keep its locks: it is noticed within a minute, and
    // its transaction ends before. None of ours is idle for longer than the relay waits for its confirms.
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// A pool that connects when it is first used.
pub fn pool(config: &Postgres, service: &str) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = config.url.expose_secret().parse()?;
    let options = options.application_name(service).options(SESSION);
    Ok(PgPoolOptions::new()
        .max_connections(config.pool)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before each use would double the round trips; a broken connection shows in the query itself.
        .test_before_acquire(false)
        .after_release(|connection, _| within(RELEASE_TIMEOUT, is_clean(connection)).boxed())
        .connect_lazy_with(options))
}

/// Whether a connection may be used again. A `begin` that is given up while it waits (the caller hung up, the broker was lost)
/// leaves a transaction open that sqlx 0.9 does not know of; whatever came next on the connection would be confirmed and
/// then lost with it. A statement outside has its transaction's own time, as long as it goes by the simple protocol.
async fn is_clean(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::raw_sql("SELECT transaction_timestamp() = statement_timestamp()").fetch_one(connection).await?.try_get(0)
}

/// What comes of `work`, or the error of a server that is gone without a word: its connection alone would wait for ever.
pub async fn within<T, E: From<sqlx::Error>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(patience, work).await.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into()).into()))
}

/// Whether the database answers, for readiness.
pub async fn ping(pool: PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(&pool).await.map(|_| ())
}

/// Now, as exactly as PostgreSQL keeps it, so that an answer is the same before and after it was stored.
#[must_use]
pub fn now(world: &dyn World) -> Timestamp {
    let now = world.now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
