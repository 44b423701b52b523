//! A database for one test, migrated as the migration Job does it, with a clock that the test moves, dropped afterwards.

use std::time::Duration;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use shop_config::{Database, Postgres};
use shop_db::Pool;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::Migrator};

use crate::{unique_name, variable};

/// A `now()` that is found before PostgreSQL's own, in a schema that is searched after the service's. Statements say plain
/// `now()`, so each database of a test has a clock of its own, as a Shop's has, beside the clocks of processes.
const CLOCK: &str = "
    CREATE SCHEMA test;
    CREATE TABLE test.clock (ahead interval NOT NULL);
    INSERT INTO test.clock VALUES ('0');
    CREATE FUNCTION test.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT pg_catalog.now() + (SELECT ahead FROM test.clock)';
";

/// Dropped with the value.
pub struct TestDatabase {
    /// The service's settings for it.
    pub config: Postgres,
    /// A pool beside the service's own, to look behind it.
    pub pool: Pool,
    name: String,
}

impl TestDatabase {
    /// Creates role and database, and runs `migrations`.
    pub async fn create(migrations: &Migrator) -> Self {
        let admin_url = variable("SHOP_TEST_POSTGRES_URL");
        let name = unique_name();
        let (_, server) = admin_url.rsplit_once('@').expect("the URL has a user");
        let server = server.split('/').next().expect("the URL has a host");
        let url = format!("postgres://{name}:{name}@{server}/{name}");
        let database = Database { admin_url: Some(SecretString::from(admin_url)), ..Database::from(url) };
        let config = Postgres { database, pool: 6 };
        shop_db::migrate(&config.database, migrations).await.expect("the migrations run");
        give_a_clock(&config.database, &name).await.expect("the database takes a clock");
        let pool = shop_db::Pool::new(&config, "test").expect("the URL is good");
        Self { config, pool, name }
    }

    /// Moves its clock forward.
    pub async fn advance(&self, by: Duration) {
        self.jump(SignedDuration::try_from(by).expect("a length of time that fits")).await;
    }

    /// Lets its clock jump, also backwards.
    pub async fn jump(&self, by: SignedDuration) {
        let jump =
            sqlx::query("UPDATE test.clock SET ahead = ahead + make_interval(secs => $1)").bind(by.as_secs_f64());
        jump.execute(&self.pool).await.expect("the database has a clock");
    }
}

/// For the sessions that are opened from now on.
async fn give_a_clock(config: &Database, name: &str) -> sqlx::Result<()> {
    let mut owner = PgConnection::connect(config.url.expose_secret()).await?;
    sqlx::raw_sql(CLOCK).execute(&mut owner).await?;
    let path = format!("ALTER DATABASE {name} SET search_path = public, test, pg_catalog");
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut owner).await?;
    owner.close().await
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        let drop = async move {
            let mut admin = PgConnection::connect(&variable("SHOP_TEST_POSTGRES_URL")).await?;
            // One by one: together they would be a transaction, in which no database can be dropped.
            let statements = [
                format!("DROP DATABASE {name} WITH (FORCE)"),
                format!("DROP ROLE IF EXISTS {name}_b"),
                format!("DROP ROLE {name}"),
            ];
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
            }
            admin.close().await
        };
        // A destructor cannot await, and the test's runtime may be gone.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} stays: {error}", self.name);
        }
    }
}
