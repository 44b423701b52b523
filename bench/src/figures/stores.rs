//! The stores that the services run on: databases, a virtual host and a Redis database of their own, removed at the end.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shop_testing::{TestBroker, variable};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::process::Container;

/// Databases, and whose migrations make them. What pgbench writes would be work for the services, so it has its own.
pub const DATABASES: [(&str, &str); 6] = [
    ("product", "product"),
    ("order", "order"),
    ("payment", "payment"),
    ("delivery", "delivery"),
    ("product_limit", "product"),
    ("order_limit", "order"),
];
/// Tests use Redis' database 0 at the same time.
const REDIS_DATABASE: u8 = 9;

/// Where the stores are, and what they are called.
pub struct Stores {
    name: String,
    postgres: String,
    mongodb: String,
    broker: TestBroker,
}

impl Stores {
    /// Makes a place for the services. The databases are made by their migrations.
    pub async fn prepare() -> Self {
        let name = format!("bench_{}", &Uuid::new_v4().simple().to_string()[..8]);
        let mongodb = variable("SHOP_TEST_MONGODB_URL");
        let (server, options) = mongodb.split_once("/?").unwrap_or((mongodb.trim_end_matches('/'), ""));
        Self {
            mongodb: format!("{server}/{name}?{options}"),
            postgres: variable("SHOP_TEST_POSTGRES_URL"),
            broker: TestBroker::create().await,
            name,
        }
    }

    /// The superuser's URL.
    pub fn postgres_admin(&self) -> &str {
        &self.postgres
    }

    /// A database, as its own role.
    pub fn postgres(&self, database: &str) -> String {
        let role = format!("{}_{database}", self.name);
        let server = self.postgres.rsplit_once('@').map_or("", |(_, server)| server);
        let server = server.split('/').next().unwrap_or_default();
        format!("postgres://{role}:{role}@{server}/{role}")
    }

    /// The virtual host.
    pub fn amqp(&self) -> &str {
        self.broker.config.url.expose_secret()
    }

    /// The user service's database.
    pub fn mongodb(&self) -> &str {
        &self.mongodb
    }

    /// Connections to a database, to seed it and to look behind a service.
    pub async fn pool(&self, database: &str) -> anyhow::Result<PgPool> {
        Ok(PgPoolOptions::new().max_connections(2).connect(&self.postgres(database)).await?)
    }

    /// What decides how long a commit takes.
    pub async fn durability(&self) -> anyhow::Result<String> {
        let mut admin = PgConnection::connect(&self.postgres).await?;
        let settings: String = sqlx::query_scalar(
            "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')
             || ', synchronous_commit ' || current_setting('synchronous_commit')",
        )
        .fetch_one(&mut admin)
        .await?;
        Ok(settings)
    }

    /// Removes everything.
    pub async fn remove(self) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.postgres).await?;
        for (database, _) in DATABASES {
            let role = format!("{}_{database}", self.name);
            for statement in
                [format!("DROP DATABASE IF EXISTS {role} WITH (FORCE)"), format!("DROP ROLE IF EXISTS {role}")]
            {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
            }
        }
        let mut redis = redis::Client::open(redis_url())?.get_multiplexed_async_connection().await?;
        redis::cmd("FLUSHDB").exec_async(&mut redis).await?;
        mongodb::Client::with_uri_str(&self.mongodb).await?.database(&self.name).drop().await?;
        Ok(())
    }
}

/// Redis, at the benchmark's own database.
pub fn redis_url() -> String {
    let url = variable("SHOP_TEST_REDIS_URL");
    format!("{}/{REDIS_DATABASE}", url.trim_end_matches("/0"))
}

/// The pod that the stores run in, to run their own programs beside them and to see what they work.
pub struct Pod(Value);

impl Pod {
    /// Finds it by its address.
    pub fn find() -> anyhow::Result<Self> {
        let url: http::Uri = variable("SHOP_TEST_POSTGRES_URL").parse()?;
        let selector = format!("status.podIP={}", url.host().unwrap_or_default());
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["get", "pods", "--all-namespaces", "--output", "json", "--field-selector", &selector]);
        let output = kubectl.output().context("kubectl cannot be run")?;
        let pods: Value = serde_json::from_slice(&output.stdout).context("kubectl lists no pods")?;
        let pod = pods["items"].get(0).with_context(|| format!("no pod has {selector}"))?;
        Ok(Self(pod.clone()))
    }

    /// Runs a program in the container of `store`, with `input` on its standard input.
    pub fn exec(&self, store: &str, program: &[&str], input: &str) -> anyhow::Result<String> {
        let text = |field: &str| self.0["metadata"][field].as_str().unwrap_or_default();
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["exec", "--stdin", "--namespace", text("namespace"), text("name"), "--container", store, "--"]);
        kubectl.args(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().context("kubectl cannot be run")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{} failed: {}", program[0], String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The stores' containers; empty where they are not on this machine.
    pub fn containers(&self) -> Vec<(String, Container)> {
        let containers = self.0["status"]["containerStatuses"].as_array().into_iter().flatten();
        containers
            .filter_map(|container| {
                let id = container["containerID"].as_str()?.rsplit('/').next()?;
                Some((container["name"].as_str()?.to_owned(), Container::find(id)?))
            })
            .collect()
    }
}

/// The processor time of each container.
pub fn cpu(containers: &[(String, Container)]) -> Vec<(String, Duration)> {
    let used = |(name, container): &(String, Container)| Some((name.clone(), container.cpu()?));
    containers.iter().filter_map(used).collect()
}
