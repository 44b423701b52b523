//! Migrations, run by a Job before the rollout. With the superuser's URL the Job first makes the service's own role and
//! database, so the service itself never holds more than its own.
//!
//! The role that owns a database has its name. A log-in of another name is a member of the owner, and works as the owner from
//! the start of each session: so two log-ins can take turns while passwords are replaced, and what either of them makes
//! belongs to both.

use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use shop_config::Database;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep};

use crate::error::is_away;

/// The operator starts migrations when stores are ready, and starts a failed one again after a minute.
const PATIENCE: Duration = Duration::from_secs(30);
/// The words by which the operator knows that it is the store that is missing.
const OUT_OF_REACH: &str = "cannot connect to postgres";

/// Makes role and database when they are missing, then runs `migrations` as the role.
pub async fn migrate(config: &Database, migrations: &Migrator) -> anyhow::Result<()> {
    let target: PgConnectOptions = config.url.expose_secret().parse().context("the PostgreSQL URL cannot be read")?;
    if let Some(admin_url) = &config.admin_url {
        let mut admin = superuser(admin_url, config.former_admin_url.as_ref()).await?;
        let password = password_of(&config.url)?;
        let (login, owner) = (target.get_username(), target.get_database().unwrap_or(target.get_username()));
        if login != owner {
            ensure_owner(&mut admin, owner).await.context("the owner of the database cannot be created")?;
        }
        ensure_login(&mut admin, login, &password).await.context("the role cannot be created")?;
        if login != owner {
            let member = ["GRANT %1$I TO %2$I", "ALTER ROLE %2$I SET role TO %1$L"];
            for statement in member {
                execute(&mut admin, statement, &[owner, login]).await.context("the role cannot be made a member")?;
            }
        }
        ensure_database(&mut admin, owner).await.context("the database cannot be created")?;
        if let Some(retired) = config.retired.as_deref().filter(|retired| *retired != login) {
            retire(&mut admin, retired).await.context("the previous role cannot be retired")?;
        }
        admin.close().await?;
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_with(target).await.context(OUT_OF_REACH)?;
    let mut migrations = Migrator { migrations: migrations.migrations.clone(), ..Migrator::DEFAULT };
    // An earlier version finds those of a later one applied. They only ever add, so it works with them.
    migrations.set_ignore_missing(true);
    migrations.run(&pool).await.context("a migration failed; nothing of it was kept")?;
    pool.close().await;
    Ok(())
}

/// Connects as the superuser, who gets the password of `url` if `former` is still the one that is good.
async fn superuser(url: &SecretString, former: Option<&SecretString>) -> anyhow::Result<PgConnection> {
    let wanted = superuser_options(url)?;
    let former = match (connect(&wanted).await, former) {
        (Err(_), Some(former)) => former,
        (outcome, _) => return outcome,
    };
    // Other services' migrations do so at the same time: what counts is whether the password is good in the end.
    if let Err(error) = take_over(former, wanted.get_username(), &password_of(url)?).await {
        tracing::info!(error.cause = %error.root_cause(), "the superuser's password was not replaced");
    }
    connect(&wanted).await
}

async fn take_over(former: &SecretString, role: &str, password: &str) -> anyhow::Result<()> {
    let mut admin = connect(&superuser_options(former)?).await?;
    ensure_login(&mut admin, role, password).await?;
    Ok(admin.close().await?)
}

fn superuser_options(url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = url.expose_secret().parse().context("the admin URL cannot be read")?;
    // A statement that sets a password shows it, and slow ones are logged.
    Ok(options.disable_statement_logging())
}

async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            // Waiting makes no password right.
            Err(error) if is_away(&error) && Instant::now() < deadline => {
                tracing::info!(error.cause = %error, "waiting for PostgreSQL");
                sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error).context(OUT_OF_REACH),
        }
    }
}

async fn ensure_login(admin: &mut PgConnection, role: &str, password: &str) -> sqlx::Result<()> {
    let verb = if role_exists(admin, role).await? { "ALTER" } else { "CREATE" };
    execute(admin, &format!("{verb} ROLE %1$I LOGIN PASSWORD %2$L"), &[role, password]).await
}

async fn ensure_owner(admin: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    if role_exists(admin, role).await? { Ok(()) } else { execute(admin, "CREATE ROLE %1$I", &[role]).await }
}

/// Sessions that are open go on; there is no new one.
async fn retire(admin: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    if role_exists(admin, role).await? {
        execute(admin, "ALTER ROLE %1$I NOLOGIN PASSWORD NULL", &[role]).await?;
    }
    Ok(())
}

async fn role_exists(admin: &mut PgConnection, role: &str) -> sqlx::Result<bool> {
    let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)");
    query.bind(role).fetch_one(admin).await
}

async fn ensure_database(admin: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)");
    if query.bind(name).fetch_one(&mut *admin).await? {
        return Ok(());
    }
    own(admin, name).await?;
    execute(admin, "CREATE DATABASE %1$I OWNER %1$I", &[name]).await?;
    // By default everybody may connect to every database.
    execute(admin, "REVOKE CONNECT ON DATABASE %1$I FROM PUBLIC", &[name]).await
}

/// Runs a statement that takes no parameters (DDL). `format()` quotes names and texts by PostgreSQL's own rules.
async fn execute(admin: &mut PgConnection, statement: &str, words: &[&str]) -> sqlx::Result<()> {
    let query = sqlx::query_scalar("SELECT format($1, VARIADIC $2::text[])").bind(statement).bind(words);
    let statement: String = query.fetch_one(&mut *admin).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.map(|_| ())
}

/// Who is no superuser can only give a database to a role that it is a member of.
async fn own(admin: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    let query = sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user");
    let superuser: bool = query.fetch_one(&mut *admin).await?;
    if superuser { Ok(()) } else { execute(admin, "GRANT %1$I TO CURRENT_USER", &[role]).await }
}

/// The password inside the URL; sqlx keeps it to itself once parsed.
fn password_of(url: &SecretString) -> anyhow::Result<String> {
    let url: http::Uri = url.expose_secret().parse().context("the PostgreSQL URL cannot be read")?;
    let credentials = url.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(left, _)| left);
    let password = credentials.and_then(|credentials| credentials.split_once(':')).map(|(_, password)| password);
    Ok(password.context("the PostgreSQL URL has no password")?.to_owned())
}
