//! Passwords are replaced while a service works: two log-ins take turns at one database.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret as _, SecretString};
use shop_config::{Database, Postgres};
use shop_db::{Pool, idempotency, migrate};
use shop_testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::Migrator};

fn migrations() -> Migrator {
    idempotency::migrations_with(&Migrator::DEFAULT)
}

/// The same database with another user and password.
fn with_login(config: &Database, user: &str, password: &str) -> Database {
    Database { url: as_user(&config.url, user, password), ..config.clone() }
}

fn as_user(url: &SecretString, user: &str, password: &str) -> SecretString {
    let (_, rest) = url.expose_secret().split_once('@').expect("a URL with a user");
    SecretString::from(format!("postgres://{user}:{password}@{rest}"))
}

fn user_of(config: &Database) -> String {
    let (_, rest) = config.url.expose_secret().split_once("//").expect("a URL");
    rest.split(':').next().expect("a user").to_owned()
}

async fn logs_in(config: &Database) -> bool {
    PgConnection::connect(config.url.expose_secret()).await.is_ok()
}

async fn write(pool: &Pool) -> sqlx::Result<()> {
    let statement = "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, answer, kept_at)
                     VALUES (gen_random_uuid(), 'POST /', '', '', '', now())";
    sqlx::query(statement).execute(pool).await.map(|_| ())
}

#[tokio::test]
async fn a_second_log_in_works_beside_the_first_and_then_in_its_place() {
    let database = TestDatabase::create(&migrations()).await;
    let first = &database.config.database;
    let owner = user_of(first);
    let second = with_login(first, &format!("{owner}_b"), "acorn");

    migrate(&second, &migrations()).await.expect("the second log-in is made");
    let pool = |login: &Database| {
        let config = Postgres { database: login.clone(), pool: database.config.pool };
        Pool::new(&config, "test").expect("a URL")
    };
    let (old, new) = (pool(first), pool(&second));
    write(&old).await.expect("the first one still works");
    write(&new).await.expect("the second one works with the same tables");
    sqlx::query("CREATE TABLE made_by_the_second (id int)").execute(&new).await.expect("it may change the schema");
    sqlx::query("DROP TABLE made_by_the_second").execute(&old).await.expect("what it made belongs to both");

    migrate(&Database { retired: Some(owner.clone()), ..second.clone() }, &migrations()).await.expect("a migration");
    assert!(!logs_in(first).await, "the first one has no way in any more");
    write(&old).await.expect("connections that are open go on");
    write(&new).await.expect("the second one works");

    let third = with_login(first, &owner, "oak");
    migrate(&third, &migrations()).await.expect("the first user gets another turn");
    let retired = Some(user_of(&second));
    migrate(&Database { retired, ..third.clone() }, &migrations()).await.expect("a migration");
    assert!(logs_in(&third).await && !logs_in(&second).await && !logs_in(first).await);
}

#[tokio::test]
async fn migrations_that_run_at_once_replace_the_superusers_password_and_then_find_it_replaced() {
    let (database, other) = (TestDatabase::create(&migrations()).await, TestDatabase::create(&migrations()).await);
    let (database, other) = (&database.config.database, &other.config.database);
    let real = database.admin_url.as_ref().expect("a superuser");
    let superuser = format!("{}_b", user_of(database));
    let mut admin = PgConnection::connect(real.expose_secret()).await.expect("the superuser is let in");
    let role = format!("CREATE ROLE {superuser} SUPERUSER LOGIN PASSWORD 'acorn'");
    sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut admin).await.expect("a second superuser");
    admin.close().await.expect("a good end");

    let replacing = |config: &Database| Database {
        admin_url: Some(as_user(real, &superuser, "oak")),
        former_admin_url: Some(as_user(real, &superuser, "acorn")),
        ..config.clone()
    };
    let (one, two) = (replacing(database), replacing(other));
    for _ in 0..2 {
        let migrations = migrations();
        let (first, second) = tokio::join!(migrate(&one, &migrations), migrate(&two, &migrations));
        first.and(second).expect("the migrations run");
        assert!(logs_in(&with_login(database, &superuser, "oak")).await);
        assert!(!logs_in(&with_login(database, &superuser, "acorn")).await, "the former password is no good");
    }
}

#[tokio::test]
async fn passwords_are_not_logged_however_much_is() {
    let database = TestDatabase::create(&migrations()).await;
    let first = &database.config.database;
    let second = with_login(first, &format!("{}_b", user_of(first)), "not-to-be-seen");
    let log = Log::default();
    let written = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || written.clone()).finish();
    // For all threads: what one of them asks about first is remembered for the others.
    tracing::subscriber::set_global_default(subscriber).expect("nobody else logs here");
    migrate(&second, &migrations()).await.expect("a log-in is made");
    assert!(logs_in(&second).await);
    let log = String::from_utf8(log.0.lock().expect("no panic while logging").clone()).expect("text");
    assert!(log.contains("sqlx"), "the log has what is logged of PostgreSQL: {log}");
    assert!(!log.contains("not-to-be-seen"), "{log}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while logging").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_earlier_version_works_with_what_a_later_one_made_of_the_database() {
    let database = TestDatabase::create(&migrations()).await;
    migrate(&database.config.database, &Migrator::DEFAULT).await.expect("migrations it does not know are no hindrance");
}
