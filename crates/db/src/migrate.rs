//! Migrations, run by a Job before the rollout. With the superuser's URL the Job first makes the service's own role and
//! database, so the service itself never holds more than its own.

use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use shop_config::Postgres;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep};

/// A fresh database server may still be starting.
const PATIENCE: Duration = Duration::from_mins(2);

/// Makes role and database when they are missing, then runs `migrations` as the role.
pub async fn migrate(config: &Postgres, migrations: &Migrator) -> anyhow::Result<()> {
    let target: PgConnectOptions = config.url.expose_secret().parse().context("the PostgreSQL URL cannot be read")?;
    if let Some(admin_url) = &config.admin_url {
        let mut admin = connect(admin_url.expose_secret().parse().context("the admin URL cannot be read")?).await?;
        let password = password_of(config)?;
        ensure_role(&mut admin, target.get_username(), &password).await.context("the role cannot be created")?;
        ensure_database(&mut admin, &target).await.context("the database cannot be created")?;
        admin.close().await?;
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_with(target).await?;
    let mut migrations = Migrator { migrations: migrations.migrations.clone(), ..Migrator::DEFAULT };
    // An earlier version finds those of a later one applied. They only ever add, so it works with them.
    migrations.set_ignore_missing(true);
    migrations.run(&pool).await.context("a migration failed; nothing of it was kept")?;
    pool.close().await;
    Ok(())
}

async fn connect(options: PgConnectOptions) -> anyhow::Result<PgConnection> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if Instant::now() < deadline => {
                tracing::info!(error.cause = %error, "waiting for PostgreSQL");
                sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error).context("PostgreSQL did not answer within two minutes"),
        }
    }
}

async fn ensure_role(admin: &mut PgConnection, role: &str, password: &str) -> sqlx::Result<()> {
    let exists: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM pg_roles WHERE rolname = $1").bind(role).fetch_optional(&mut *admin).await?;
    let verb = if exists.is_some() { "ALTER" } else { "CREATE" };
    // DDL takes no parameters; format() quotes by PostgreSQL's own rules.
    let statement: String = sqlx::query_scalar("SELECT format($1 || ' ROLE %I LOGIN PASSWORD %L', $2, $3)")
        .bind(verb)
        .bind(role)
        .bind(password)
        .fetch_one(&mut *admin)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.map(|_| ())
}

async fn ensure_database(admin: &mut PgConnection, target: &PgConnectOptions) -> sqlx::Result<()> {
    let role = target.get_username();
    let name = target.get_database().unwrap_or(role);
    let exists: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut *admin)
        .await?;
    if exists.is_some() {
        return Ok(());
    }
    let statement: String = sqlx::query_scalar("SELECT format('CREATE DATABASE %I OWNER %I', $1, $2)")
        .bind(name)
        .bind(role)
        .fetch_one(&mut *admin)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await?;
    // By default everybody may connect to every database.
    let statement: String = sqlx::query_scalar("SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', $1)")
        .bind(name)
        .fetch_one(&mut *admin)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.map(|_| ())
}

/// The password inside the URL; sqlx keeps it to itself once parsed.
fn password_of(config: &Postgres) -> anyhow::Result<String> {
    let url: http::Uri = config.url.expose_secret().parse().context("the PostgreSQL URL cannot be read")?;
    let credentials = url.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(left, _)| left);
    let password = credentials.and_then(|credentials| credentials.split_once(':')).map(|(_, password)| password);
    Ok(password.context("the PostgreSQL URL has no password")?.to_owned())
}
