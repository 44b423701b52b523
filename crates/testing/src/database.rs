//! A database for one test, migrated as the migration Job does it, dropped afterwards.

use secrecy::SecretString;
use shop_config::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, migrate::Migrator};

use crate::{unique_name, variable};

/// Dropped with the value.
pub struct TestDatabase {
    /// The service's settings for it.
    pub config: Postgres,
    /// A pool beside the service's own, to look behind it.
    pub pool: PgPool,
    name: String,
}

impl TestDatabase {
    /// Creates role and database, and runs `migrations`.
    pub async fn create(migrations: &Migrator) -> Self {
        let admin_url = variable("SHOP_TEST_POSTGRES_URL");
        let name = unique_name();
        let (_, server) = admin_url.rsplit_once('@').expect("the URL has a user");
        let server = server.split('/').next().expect("the URL has a host");
        let config = Postgres {
            url: SecretString::from(format!("postgres://{name}:{name}@{server}/{name}")),
            admin_url: Some(SecretString::from(admin_url)),
            retired: None,
            pool: 6,
        };
        shop_db::migrate(&config, migrations).await.expect("the migrations run");
        let pool = shop_db::pool(&config, "test").expect("the URL is good");
        Self { config, pool, name }
    }
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
