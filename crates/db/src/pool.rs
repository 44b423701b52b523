//! Connections that are lent and come back without being asked anything, when it is plain that nothing is left on them.
//!
//! sqlx's own pool sends a ping for every connection that comes back. Here only one of which it is not known that its last
//! statement succeeded is asked, and one that does not answer in time is closed: the other side may be gone without a word.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

use deadpool::managed::{self, Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt as _, TryStreamExt as _},
};
use secrecy::ExposeSecret as _;
use shop_config::Postgres as Config;
use sqlx::{
    ConnectOptions as _, Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr,
    postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::time::{sleep, timeout};

use crate::within;

/// A request that cannot get a connection within this time is better refused.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was given up halfway answers within this time, or is closed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Who waits for a server that is starting asks so often.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// What a server keeps for a connection grows with its age.
const LONGEST_LIFE: Duration = Duration::from_mins(30);
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

/// Connections to one database, made when they are first needed. A clone is the same pool; as an executor of sqlx it lends a
/// connection for one statement.
#[derive(Clone)]
pub struct Pool(managed::Pool<Server>);

/// How many connections a pool has.
pub(crate) struct Counts {
    pub(crate) used: usize,
    pub(crate) idle: usize,
    pub(crate) most: usize,
}

impl Pool {
    /// A pool that connects when it is first used.
    pub fn new(config: &Config, service: &str) -> sqlx::Result<Self> {
        let options: PgConnectOptions = config.database.url.expose_secret().parse()?;
        let server = Server(options.application_name(service).options(SESSION));
        let most = usize::try_from(config.pool).map_err(sqlx::Error::config)?;
        // The one that came back last: its memory is still warm on both sides.
        let pool = managed::Pool::builder(server).max_size(most).queue_mode(QueueMode::Lifo).build();
        Ok(Self(pool.map_err(sqlx::Error::config)?))
    }

    /// A connection, for several statements.
    pub async fn acquire(&self) -> sqlx::Result<Lease> {
        let lent = timeout(ACQUIRE_TIMEOUT, self.0.get()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        match lent {
            Ok(connection) => Ok(Lease { connection: Some(connection), left: Left::Answers }),
            Err(PoolError::Backend(error)) => Err(error),
            Err(_) => Err(sqlx::Error::PoolClosed),
        }
    }

    /// A transaction, which is rolled back unless it is committed.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        let mut lease = self.acquire().await?;
        // From here on a caller that gives up, in the middle of this statement too, leaves a transaction behind.
        lease.left = Left::Transaction;
        lease.execute("BEGIN").await?;
        Ok(Transaction(lease))
    }

    pub(crate) fn counts(&self) -> Counts {
        let status = self.0.status();
        Counts { used: status.size - status.available, idle: status.available, most: status.max_size }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Who makes connections.
struct Server(PgConnectOptions);

impl Manager for Server {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// Waits for a server that is not there or is starting, as long as whoever asks has the patience.
    async fn create(&self) -> sqlx::Result<PgConnection> {
        loop {
            match self.0.connect().await {
                Err(error) if is_starting(&error) => sleep(AFTER_REFUSAL).await,
                outcome => return outcome,
            }
        }
    }

    /// A ping before each use would double the round trips; a broken connection shows in the query itself.
    async fn recycle(&self, _: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() < LONGEST_LIFE { Ok(()) } else { Err(RecycleError::message("it is old")) }
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // cannot_connect_now (PostgreSQL, appendix A).
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// What may be left on a connection that comes back.
#[derive(Clone, Copy)]
enum Left {
    Nothing,
    /// Of a statement that was given up.
    Answers,
    Transaction,
}

/// A connection of a pool, which goes back when this ends.
pub struct Lease {
    /// `None` when it has gone back.
    connection: Option<Object<Server>>,
    left: Left,
}

impl Lease {
    /// Gives the connection back; nothing is left of a last statement that succeeded.
    fn ended<T>(mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        if outcome.is_ok() {
            self.left = Left::Nothing;
        }
        outcome
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect("it goes back at the end")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect("it goes back at the end")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !matches!(self.left, Left::Nothing) {
            tokio::spawn(settle(connection, self.left));
        }
    }
}

/// Gives a connection back once nothing is left on it. `BEGIN` may have been given up while it waited for its answer, so
/// that only the server knows of the transaction: whatever came next on the connection would be confirmed and then lost.
async fn settle(mut connection: Object<Server>, left: Left) {
    let settled = within(SETTLE_TIMEOUT, async {
        match left {
            Left::Transaction => connection.execute("ROLLBACK").await.map(|_| ()),
            Left::Answers | Left::Nothing => connection.ping().await,
        }
    });
    if let Err(error) = settled.await {
        tracing::debug!(error.cause = %error, "a connection is closed that does not answer");
        drop(Object::take(connection));
    }
}

/// A transaction on a connection of a pool, which is rolled back unless it is committed.
pub struct Transaction(Lease);

impl Transaction {
    /// Makes what was written last.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    /// Takes back what was written, and waits until that is done.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(self, statement: &'static str) -> sqlx::Result<()> {
        let Self(mut lease) = self;
        let outcome = lease.execute(statement).await;
        lease.ended(outcome).map(|_| ())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl<'p> Executor<'p> for &Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let steps = async move {
            let mut lease = pool.acquire().await?;
            let steps: sqlx::Result<Vec<_>> = lease.fetch_many(query).try_collect().await;
            lease.ended(steps).map(|steps| stream::iter(steps).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let row = lease.fetch_optional(query).await;
            lease.ended(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let statement = lease.prepare_with(sql, parameters).await;
            lease.ended(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lease = pool.acquire().await?;
            let description = lease.describe(sql).await;
            lease.ended(description)
        })
    }
}
