//! Orders: checkout and `CreateOrder` alone, the whole way to DELIVERED, and the relay.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use shop_proto::orders::{Address, CreateOrderRequest, OrderItem, order_service_client::OrderServiceClient};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tonic::{metadata::MetadataValue, transport::Channel};
use uuid::Uuid;

use super::{
    Bench, CONNECTIONS, Flow, Number, Target,
    asks::{Ask, Asker, product, scatter},
    flows::{SOLD, add, place},
    limits::{self, Limit, in_series, pgbench},
};
use crate::{
    load::address,
    pace::{self, Plan, Visitor},
    record::{FlowSummary, Outcome, rate},
};

const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(20);
const EVENTS: i32 = 50_000;
/// What order tells of an order of one line.
const PAYLOAD: &str = r#"{"orderId":"00000000-0000-7000-8000-000000000001","userId":"00000000-0000-7000-8000-000000000001","totalMinor":1999,"currency":"USD","lines":[{"productId":"00000000-0000-7000-8000-000000000001","sellerId":"00000000-0000-7000-8000-000000000001","productName":"bal cet dif","unitPriceMinor":1999,"quantity":1}],"expiresAt":"2030-01-01T00:00:00Z"}"#;

/// Measures from the checkout on.
pub async fn measure(bench: &mut Bench, say: fn(&str)) -> anyhow::Result<()> {
    let orders = bench.stores.pool("order").await?;
    // Their queues stay, so that events are routed and wait there.
    for service in ["payment", "delivery"] {
        bench.services.stop(service)?;
    }
    say("checkout");
    checkout(bench).await?;
    say("CreateOrder");
    create_order(bench).await?;
    for service in ["payment", "delivery"] {
        bench.services.start(service, &bench.stores).await?;
    }
    say("deliver what was ordered so far");
    all_delivered(&orders).await?;
    say("orders to DELIVERED");
    to_the_door(bench, &orders).await?;
    say("relay");
    bench.services.stop("payment")?;
    relay(bench, &orders).await?;
    Ok(())
}

async fn checkout(bench: &mut Bench) -> anyhow::Result<()> {
    let askers = filled_carts(bench, bench.options.orders).await?;
    let plan = Plan { requests: bench.options.orders.into(), ..bench.closed_loop() };
    let plan = Plan { duration: PATIENCE, ..plan };
    let span = "checkout of one line sent to answer read; order publishes order.created, nobody captures";
    bench.measure(Flow { name: "checkout", span, target_cpu_ms: Some(0.52), plan }, askers).await?;
    bench.limited_by(transactions(bench));
    Ok(())
}

/// What order and product write for one order, by pgbench.
fn transactions(bench: &Bench) -> anyhow::Result<Limit> {
    let seconds = bench.options.seconds;
    let order = pgbench(&bench.pod, limits::ORDER, &bench.stores.postgres("order_limit"), seconds)?;
    Ok(in_series(&order, &pgbench(&bench.pod, limits::RESERVE, &bench.stores.postgres("product_limit"), seconds)?))
}

/// Fills a cart for each of `count` buyers; gives back the checkouts.
pub async fn filled_carts(bench: &Bench, count: u32) -> anyhow::Result<Vec<Asker>> {
    let buyers = bench.buyers(count);
    let fill = Plan { per_second: None, duration: PATIENCE, requests: count.into() };
    let to_fill = Arc::clone(&buyers);
    let filled = pace::run(fill, Asker::all(bench, "cart", CONNECTIONS, move |ticket| add(&to_fill, ticket))).await;
    let failed: u64 = filled.record.summaries(filled.elapsed).iter().map(FlowSummary::failed).sum();
    anyhow::ensure!(failed == 0, "{failed} carts could not be filled");
    let checkout = move |ticket| Ask::post("/api/v1/cart/checkout", address()).by(&buyers[place(ticket, buyers.len())]);
    Ok(Asker::all(bench, "cart", CONNECTIONS, checkout))
}

/// A gRPC connection that places orders.
struct Caller {
    client: OrderServiceClient<Channel>,
    user: Uuid,
    token: MetadataValue<tonic::metadata::Ascii>,
}

impl Visitor for Caller {
    async fn act(&mut self, ticket: u64) -> (&'static str, Outcome) {
        let address = Address {
            full_name: "Load Tester".to_owned(),
            phone: "+442071234567".to_owned(),
            city: "London".to_owned(),
            street: "1 Test Row".to_owned(),
        };
        let product_id = product(1 + scatter(ticket) % SOLD);
        let mut request = tonic::Request::new(CreateOrderRequest {
            user_id: self.user.to_string(),
            items: vec![OrderItem { product_id, quantity: 1, ..OrderItem::default() }],
            shipping_address: Some(address),
            order_id: Uuid::new_v4().to_string(),
            ..CreateOrderRequest::default()
        });
        request.metadata_mut().insert("authorization", self.token.clone());
        let outcome = match self.client.create_order(request).await {
            Ok(_) => Outcome::Answered(200),
            Err(status) if status.code() == tonic::Code::Unavailable => Outcome::Answered(503),
            Err(_) => Outcome::Wrong,
        };
        ("", outcome)
    }
}

async fn create_order(bench: &mut Bench) -> anyhow::Result<()> {
    let mut callers = Vec::new();
    for (number, token) in (1..).zip(bench.buyers(u32::try_from(CONNECTIONS)?).iter()) {
        let channel = Channel::from_shared(bench.services.grpc("order"))?.connect().await?;
        let token = format!("Bearer {token}").parse()?;
        callers.push(Caller { client: OrderServiceClient::new(channel), user: Uuid::from_u128(number), token });
    }
    let span = "CreateOrder of one line sent to answer read; order publishes order.created, nobody captures";
    let flow = Flow { name: "gRPC CreateOrder", span, target_cpu_ms: Some(0.1), plan: bench.closed_loop() };
    bench.measure(flow, callers).await?;
    bench.limited_by(transactions(bench));
    Ok(())
}

async fn to_the_door(bench: &mut Bench, orders: &PgPool) -> anyhow::Result<()> {
    let askers = filled_carts(bench, bench.options.orders).await?;
    let (before, started) = (bench.services.cpu()?, Instant::now());
    let plan = Plan { requests: bench.options.orders.into(), per_second: None, duration: PATIENCE };
    let run = pace::run(plan, askers).await;
    let accepted: u64 = run.record.summaries(run.elapsed).iter().map(FlowSummary::succeeded).sum();
    all_delivered(orders).await?;
    let elapsed = started.elapsed();
    let worked = super::each(&before, &bench.services.cpu()?, accepted);
    let each: Vec<String> = worked.iter().map(|(name, cpu)| format!("{name} {cpu:.3}")).collect();
    let span = format!(
        "{accepted} checkouts in a closed loop with {CONNECTIONS} connections, provider latency 0; first checkout sent to last \
         order DELIVERED; all accepted after {:.1} s; CPU ms for one order: {} (together {:.3})",
        run.elapsed.as_secs_f64(),
        each.join(", "),
        worked.values().sum::<f64>(),
    );
    bench.figures.numbers.push(Number {
        name: "orders to DELIVERED",
        span,
        value: rate(accepted, elapsed),
        unit: "orders/s",
        target: Some(Target::AtLeast(1_000.0)),
        limit: None,
    });
    Ok(())
}

/// Waits until no order is on its way.
async fn all_delivered(orders: &PgPool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status NOT IN ('DELIVERED', 'CANCELED')")
            .fetch_one(orders)
            .await?;
        match open {
            0 => return Ok(()),
            _ if Instant::now() > deadline => bail!("{open} orders are still on their way after {PATIENCE:?}"),
            _ => sleep(POLL).await,
        }
    }
}

/// Events that lie in order's outbox, from the first claim of the relay to the last.
async fn relay(bench: &mut Bench, orders: &PgPool) -> anyhow::Result<()> {
    let before = bench.services.cpu()?;
    sqlx::query(
        "INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at)
         SELECT gen_random_uuid(), 'order_events', 'order.created', true, $1::jsonb, '{}', now(), now()
         FROM generate_series(1, $2)",
    )
    .bind(PAYLOAD)
    .bind(EVENTS)
    .execute(orders)
    .await?;
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar("SELECT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL)").fetch_one(orders).await? {
        anyhow::ensure!(Instant::now() < deadline, "the relay did not send {EVENTS} events within {PATIENCE:?}");
        sleep(POLL).await;
    }
    // Every batch carries the time of its claim, so the last batch is sent after the last of them.
    let per_second: f64 = sqlx::query_scalar(
        "WITH batches AS (SELECT sent_at, count(*) AS events FROM outbox WHERE payload = $1::jsonb GROUP BY sent_at)
         SELECT ((sum(events) - (SELECT events FROM batches ORDER BY sent_at DESC LIMIT 1))
             / extract(epoch FROM max(sent_at) - min(sent_at)))::float8 FROM batches",
    )
    .bind(PAYLOAD)
    .fetch_one(orders)
    .await?;
    let worked = super::each(&before, &bench.services.cpu()?, u64::try_from(EVENTS)?);
    let cpu = worked.get("order").copied().unwrap_or_default();
    let limit = limits::publish(bench.stores.amqp(), "order_events", "order.created", PAYLOAD.as_bytes(), 50_000).await;
    bench.figures.numbers.push(Number {
        name: "relay",
        span: format!(
            "{EVENTS} events in order's outbox; first batch claimed to last batch claimed, each confirmed and marked; \
             CPU ms an event: {cpu:.4}"
        ),
        value: per_second,
        unit: "events/s",
        target: Some(Target::AtLeast(5_000.0)),
        limit: Some(limit?),
    });
    Ok(())
}
