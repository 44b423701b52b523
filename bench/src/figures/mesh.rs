//! What identities and traces cost: the same checkouts with and without them, in turns. And what becomes of checkouts when the
//! trace collector takes everything and answers nothing.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use shop_testing::TestAuthority;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, async_trait, transport::server::TcpIncoming};

use super::{Bench, CONNECTIONS, Number, Target, each, orders::filled_carts, services::Traces};
use crate::{pace, pace::Plan, record::FlowSummary};

/// Each with and without; turn about, so that a machine that becomes slower is no argument.
const PAIRS: u32 = 3;
/// What takes part in a checkout, in the order of who needs whom.
const MEMBERS: [&str; 3] = ["product", "order", "cart"];
const PATIENCE: Duration = Duration::from_mins(5);

/// Measures what the mesh adds to a checkout.
pub async fn measure(bench: &mut Bench, say: fn(&str)) -> anyhow::Result<()> {
    // Nobody captures: what payment and delivery do later is no part of a checkout.
    for service in ["payment", "delivery"] {
        bench.services.stop(service)?;
    }
    let usual = bench.services.set_mesh(None, None);
    let identities = identities(bench.options.output.join("identities"))?;
    let (collector, silent) = (Collector::that_answers().await?, Collector::that_is_silent().await?);

    say("checkouts with and without the mesh");
    let (mut plain, mut secured) = (0.0, 0.0);
    for _ in 0..PAIRS {
        plain += turn(bench, None, None).await?.cpu_ms;
        secured += turn(bench, Some(&identities), Some(collector.traces(0.1))).await?.cpu_ms;
    }
    let cost = Number {
        name: "mutual TLS and traces",
        span: format!(
            "{PAIRS} times {} checkouts without and with both, in turns, one in ten sampled, closed loop with {CONNECTIONS} \
             connections; CPU of cart, order and product for one checkout {:.3} and {:.3} ms",
            bench.options.orders,
            plain / f64::from(PAIRS),
            secured / f64::from(PAIRS),
        ),
        value: 100.0 * (secured / plain - 1.0),
        unit: "% more CPU for a checkout",
        target: Some(Target::AtMost(15.0)),
        limit: None,
    };
    bench.figures.numbers.push(cost);

    say("checkouts with a collector that is silent");
    let answered = turn(bench, Some(&identities), Some(collector.traces(1.0))).await?;
    let unanswered = turn(bench, Some(&identities), Some(silent.traces(1.0))).await?;
    bench.figures.numbers.push(Number {
        name: "a collector that answers nothing",
        span: format!(
            "{} checkouts, all of them sampled; p50 {:.2} ms instead of {:.2}, p99 {:.2} ms instead of {:.2}; the cart's memory \
             at its highest {:.1} MiB instead of {:.1}",
            bench.options.orders,
            unanswered.summary.p50_ms,
            answered.summary.p50_ms,
            unanswered.summary.p99_ms,
            answered.summary.p99_ms,
            unanswered.peak_mib,
            answered.peak_mib,
        ),
        value: unanswered.summary.p50_ms / answered.summary.p50_ms,
        unit: "times the latency",
        target: Some(Target::AtMost(1.1)),
        limit: None,
    });
    bench.services.set_mesh(None, usual);
    restart(bench).await
}

struct Turn {
    cpu_ms: f64,
    peak_mib: f64,
    summary: FlowSummary,
}

async fn turn(bench: &mut Bench, identities: Option<&PathBuf>, traces: Option<Traces>) -> anyhow::Result<Turn> {
    bench.services.set_mesh(identities.cloned(), traces);
    restart(bench).await?;
    let askers = filled_carts(bench, bench.options.orders).await?;
    let before = bench.services.cpu()?;
    let run =
        pace::run(Plan { per_second: None, duration: PATIENCE, requests: bench.options.orders.into() }, askers).await;
    let after = bench.services.cpu()?;
    let summary = run.record.summaries(run.elapsed).pop().context("nothing was sent")?;
    anyhow::ensure!(summary.failed() == 0, "checkouts failed: {:?}", summary.errors);
    let cpu_ms = each(&before, &after, summary.succeeded()).values().sum();
    let peak_mib = bench.services.memory()?.get("cart").context("the cart runs")?.peak;
    Ok(Turn { cpu_ms, peak_mib, summary })
}

async fn restart(bench: &mut Bench) -> anyhow::Result<()> {
    for service in MEMBERS {
        bench.services.stop(service)?;
    }
    for service in MEMBERS {
        bench.services.start(service, &bench.stores).await?;
    }
    Ok(())
}

/// A folder with the identity of each member, as the operator would make them.
fn identities(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let authority = TestAuthority::create();
    for service in MEMBERS {
        let folder = folder.join(service);
        fs::create_dir_all(&folder)?;
        let id = format!("spiffe://cluster.local/ns/bench/shop/bench/{service}");
        authority.write(&folder, "127.0.0.1", &id, time::Duration::hours(24));
    }
    Ok(folder)
}

/// A trace collector that keeps nothing.
struct Collector {
    endpoint: String,
    running: JoinHandle<()>,
}

impl Collector {
    async fn that_answers() -> anyhow::Result<Self> {
        let (listener, endpoint) = listen().await?;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Forgetful));
        let serving = server.serve_with_incoming(TcpIncoming::from(listener));
        // It ends with this process; a collector that fails shows in the services' logs.
        Ok(Self { endpoint, running: tokio::spawn(async { drop(serving.await) }) })
    }

    async fn that_is_silent() -> anyhow::Result<Self> {
        let (listener, endpoint) = listen().await?;
        let hold = async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                held.push(connection);
            }
        };
        Ok(Self { endpoint, running: tokio::spawn(hold) })
    }

    fn traces(&self, share: f64) -> Traces {
        Traces { endpoint: self.endpoint.clone(), share }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn listen() -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    Ok((listener, endpoint))
}

struct Forgetful;

#[async_trait]
impl TraceService for Forgetful {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
