//! Words among a hundred thousand products.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{
    Bench, CONNECTIONS, Flow, Number, Target,
    asks::{Ask, Asker, scatter, word},
    limits::{self, pgbench},
};
use crate::pace::Plan;

const SEED: &str = include_str!("seed.sql");
const PER_SECOND: f64 = 10.0;
const DURATION: Duration = Duration::from_secs(30);
const ANSWERED: &str = "request sent to answer read";

/// Puts the products of these numbers into the catalog, behind the service's back.
pub async fn seed(bench: &Bench, database: &str, from: u32, to: u32) -> anyhow::Result<()> {
    let script = SEED.replace("{{from}}", &from.to_string()).replace("{{to}}", &to.to_string());
    let pool = bench.stores.pool(database).await?;
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&pool).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await?;
    Ok(())
}

/// One word, two words, and words with a slip of the finger.
pub async fn measure(bench: &mut Bench, say: fn(&str)) -> anyhow::Result<()> {
    say("search");
    let open = Plan { per_second: Some(PER_SECOND), duration: DURATION, requests: u64::MAX };
    let span = "request due to answer read; one word, two words, or one with a slip, in turn";
    let askers = Asker::all(bench, "product", CONNECTIONS, query);
    let flow = Flow { name: "search, 100k, open", span, target_cpu_ms: None, plan: open };
    bench.measure(flow, askers).await?;
    let p99 = bench.figures.flows.last().map_or(0.0, |figure| figure.summary.p99_ms);
    bench.figures.numbers.push(Number {
        name: "search among 100000 products, p99",
        span: format!("open loop at {PER_SECOND} requests a second; {span}"),
        value: p99,
        unit: "ms",
        target: Some(Target::AtMost(20.0)),
        limit: None,
    });

    let askers = Asker::all(bench, "product", CONNECTIONS, |ticket| query(ticket * 3));
    let flow = Flow { name: "search, 100k", span: ANSWERED, target_cpu_ms: None, plan: bench.closed_loop() };
    bench.measure(flow, askers).await?;
    bench.limited_by(pgbench(&bench.pod, limits::SEARCH, &bench.stores.postgres("product"), bench.options.seconds));

    say("list");
    let newest = |_| Ask::get("/api/v1/products?limit=20".to_owned());
    let askers = Asker::all(bench, "product", CONNECTIONS, newest);
    let flow = Flow { name: "product list, 100k", span: ANSWERED, target_cpu_ms: None, plan: bench.closed_loop() };
    bench.measure(flow, askers).await?;
    bench.limited_by(pgbench(
        &bench.pod,
        limits::PRODUCT_LIST,
        &bench.stores.postgres("product"),
        bench.options.seconds,
    ));
    Ok(())
}

fn query(ticket: u64) -> Ask {
    let first = word(scatter(ticket) % 4_096);
    let words = match ticket % 3 {
        0 => first,
        1 => format!("{first}+{}", word(scatter(ticket + 1) % 64)),
        // One letter is missing.
        _ => [&first[..4], &first[5..]].concat(),
    };
    Ask::get(format!("/api/v1/products?q={words}"))
}
