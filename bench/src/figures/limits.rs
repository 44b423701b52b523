//! What the stores alone can do with the same statements: `pgbench`, `redis-benchmark`, and a loop that only publishes.

use anyhow::Context as _;
use futures::future::try_join_all;
use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{CONNECTIONS, stores::Pod};
use crate::record::rate;

/// A product's page: itself, its stock, its categories.
pub const PRODUCT_GET: &str = include_str!("limits/product_get.sql");
/// The newest products, and how many there are.
pub const PRODUCT_LIST: &str = include_str!("limits/product_list.sql");
/// Words, hits, and how many there are.
pub const SEARCH: &str = include_str!("limits/search.sql");
/// All that order writes for a new order.
pub const ORDER: &str = include_str!("limits/order.sql");
/// All that product writes for a reservation of one line.
pub const RESERVE: &str = include_str!("limits/reserve.sql");
/// Adding one product to a cart.
pub const ADD: &str = include_str!("../../../services/cart/src/scripts/add.lua");
/// Reading a cart. redis-benchmark sends one command at a time, so the three of the service's pipeline are one script.
pub const SHOW: &str =
    "redis.call('EXPIRE', KEYS[1], 604800) redis.call('EXPIRE', KEYS[2], 604800) return redis.call('HGETALL', KEYS[1])";

/// The relay's own batch.
const BATCH: usize = 500;

/// What the store did on its own.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The program and its load.
    pub what: String,
    /// Operations a second.
    pub per_second: f64,
}

/// Runs a script with pgbench for `seconds`.
pub fn pgbench(pod: &Pod, script: &str, url: &str, seconds: u64) -> anyhow::Result<Limit> {
    let (clients, seconds) = (CONNECTIONS.to_string(), seconds.to_string());
    let options = ["pgbench", "-n", "-M", "prepared", "-c", &clients, "-T", &seconds, "-f", "/dev/stdin", url];
    let said = pod.exec("postgres", &options, script)?;
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = line.and_then(|line| line.split(' ').next()?.parse().ok());
    Ok(Limit {
        what: format!("pgbench -M prepared, closed loop with {clients} connections"),
        per_second: tps.with_context(|| format!("pgbench says no tps: {said}"))?,
    })
}

/// Runs a Lua function with redis-benchmark; `{}` in a key or argument is a random buyer.
pub fn redis_benchmark(
    pod: &Pod,
    script: &str,
    keys: &[&str],
    arguments: &[&str],
    requests: u32,
) -> anyhow::Result<Limit> {
    let (clients, requests, number) = (CONNECTIONS.to_string(), requests.to_string(), keys.len().to_string());
    // The password is in the container's environment; the database is one that nobody else uses.
    let program = r#"exec redis-benchmark -a "$PASSWORD" "$@""#;
    let mut command = vec!["sh", "-c", program, "sh", "--dbnum", "8", "--csv", "-r", "4000", "-c", &clients];
    command.extend(["-n", &requests, "EVAL", script, &number]);
    command.extend(keys.iter().chain(arguments));
    let said = pod.exec("redis", &command, "")?;
    pod.exec("redis", &["sh", "-c", r#"REDISCLI_AUTH="$PASSWORD" redis-cli -n 8 FLUSHDB"#], "")?;
    // The last line: "command","rps","avg latency",...; the command itself holds commas.
    let line = said.lines().rev().find(|line| line.matches("\",\"").count() >= 7).unwrap_or_default();
    let fields: Vec<&str> = line.split("\",\"").collect();
    let rps = fields.len().checked_sub(7).and_then(|at| fields.get(at)).and_then(|field| field.parse().ok());
    Ok(Limit {
        what: format!("redis-benchmark EVAL, closed loop with {clients} connections"),
        per_second: rps.with_context(|| format!("redis-benchmark says no rate: {said}"))?,
    })
}

/// Publishes `count` events as the relay does, in batches of which each is confirmed, and does nothing else.
pub async fn publish(amqp: &str, exchange: &str, key: &str, payload: &[u8], count: usize) -> anyhow::Result<Limit> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (channel, started) = (&channel, Instant::now());
    let mut sent = 0;
    while sent < count {
        let batch = (0..BATCH).map(|_| async move {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let properties = BasicProperties::default().with_delivery_mode(2);
            let confirm = channel.basic_publish(exchange.into(), key.into(), options, payload, properties).await?;
            confirm.await
        });
        let confirms = try_join_all(batch).await?;
        anyhow::ensure!(
            confirms.iter().all(|confirm| matches!(confirm, Confirmation::Ack(None))),
            "an event came back"
        );
        sent += BATCH;
    }
    let per_second = rate(sent as u64, started.elapsed());
    connection.close(200, "bye".into()).await?;
    Ok(Limit { what: format!("lapin alone, persistent, mandatory, confirmed in batches of {BATCH}"), per_second })
}

/// Two transactions one after the other.
#[must_use]
pub fn in_series(one: &Limit, other: &Limit) -> Limit {
    let seconds = 1.0 / one.per_second + 1.0 / other.per_second;
    Limit { what: format!("{}, both transactions", one.what), per_second: 1.0 / seconds }
}
