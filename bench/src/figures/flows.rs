//! One request after the other: a product, lists, words, the cart.

use serde_json::json;

use super::{
    Bench, CONNECTIONS, Flow,
    asks::{Ask, Asker, product, scatter, word},
    limits::{self, pgbench, redis_benchmark},
};

/// Buyers with a cart.
pub const BUYERS: u32 = 4_000;
/// Enough, so that no two orders wait for the stock of one product all the time.
pub const SOLD: u64 = 1_000;
/// A few seconds of Redis.
const LIMIT_COMMANDS: u32 = 30_000;
const ANSWERED: &str = "request sent to answer read";

/// Measures what shoppers do before they buy.
pub async fn measure(bench: &mut Bench, say: fn(&str)) -> anyhow::Result<()> {
    let plan = bench.closed_loop();
    let flow = |name, target_cpu_ms| Flow { name, span: ANSWERED, target_cpu_ms, plan };
    let (seconds, catalog) = (bench.options.seconds, bench.stores.postgres("product"));

    say("product get");
    let ask = |ticket| Ask::get(format!("/api/v1/products/{}", product(1 + scatter(ticket) % 10_000)));
    let askers = Asker::all(bench, "product", CONNECTIONS, ask);
    bench.measure(flow("product get", Some(0.205)), askers).await?;
    bench.limited_by(pgbench(&bench.pod, limits::PRODUCT_GET, &catalog, seconds));

    say("product list");
    let askers = Asker::all(bench, "product", CONNECTIONS, |_| Ask::get("/api/v1/products?limit=20".to_owned()));
    bench.measure(flow("product list, 10k", None), askers).await?;
    bench.limited_by(pgbench(&bench.pod, limits::PRODUCT_LIST, &catalog, seconds));

    say("search");
    let ask = |ticket| Ask::get(format!("/api/v1/products?q={}", word(scatter(ticket) % 4_096)));
    let askers = Asker::all(bench, "product", CONNECTIONS, ask);
    bench.measure(flow("search, 10k", Some(0.39)), askers).await?;
    bench.limited_by(pgbench(&bench.pod, limits::SEARCH, &catalog, seconds));

    say("cart add");
    let buyers = bench.buyers(BUYERS);
    let ask = move |ticket| add(&buyers, ticket);
    let askers = Asker::all(bench, "cart", CONNECTIONS, ask);
    bench.measure(flow("cart add", Some(0.245)), askers).await?;
    let keys = ["b:items:__rand_int__", "b:attempt:__rand_int__", "b:done:__rand_int__"];
    let arguments = ["604800", "00000000-0000-7000-8000-000000000001", "1", "999999999", "100"];
    bench.limited_by(redis_benchmark(&bench.pod, limits::ADD, &keys, &arguments, LIMIT_COMMANDS));

    say("cart get");
    let buyers = bench.buyers(BUYERS);
    let ask = move |ticket| Ask::get("/api/v1/cart".to_owned()).by(&buyers[place(ticket, buyers.len())]);
    let askers = Asker::all(bench, "cart", CONNECTIONS, ask);
    bench.measure(flow("cart get", None), askers).await?;
    bench.limited_by(redis_benchmark(&bench.pod, limits::SHOW, &keys[..2], &[], LIMIT_COMMANDS));
    Ok(())
}

/// One unit into the cart of the ticket's buyer; each buyer has a favourite, so a cart has one line.
pub fn add(buyers: &[String], ticket: u64) -> Ask {
    let buyer = place(ticket, buyers.len());
    let favourite = product(1 + buyer as u64 % SOLD);
    Ask::post("/api/v1/cart", json!({"productId": favourite, "quantity": 1})).by(&buyers[buyer])
}

/// Tickets go round.
pub fn place(ticket: u64, places: usize) -> usize {
    usize::try_from(ticket % places as u64).unwrap_or_default()
}
