//! Figures of the services: what one request costs, how many go through, how long they take.
//!
//! The services run as processes of their own on stores that are theirs alone; nothing else is between them and the load, so
//! that processor time and memory are each service's own. `stores` and `services` set that up, `flows`, `orders`, `mesh`, `search`
//! and `login` measure, `limits` asks the stores what they can do without us, `report` is what people read.

pub mod report;

mod asks;
mod flows;
mod limits;
mod login;
mod mesh;
mod orders;
mod search;
mod services;
mod stores;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use rustls::ClientConfig;
use shop_auth::Role;
use shop_testing::TestTokens;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    http::tls,
    pace::{self, Plan, Visitor},
    process::{Container, machine},
    record::{FlowSummary, rate},
};
use limits::Limit;
use report::{Figure, Figures, Number, Target};
use services::Services;
use stores::{DATABASES, Pod, Stores};

/// Connections of every closed loop.
pub const CONNECTIONS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(5);
/// In the order of who needs whom. Docs is last: it asks all others.
const SERVICES: [&str; 7] = ["product", "order", "cart", "payment", "delivery", "user", "docs"];

/// Measures the services. Needs the stores of the tests (`SHOP_TEST_*`); `cargo xtask bench` sets everything up.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The folder with the services' release programs
    #[arg(long)]
    pub programs: PathBuf,
    /// The folder for the figures and the services' logs
    #[arg(long)]
    pub output: PathBuf,
    /// Seconds of each closed loop
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=120))]
    pub seconds: u64,
    /// Orders from checkout to delivery
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub orders: u32,
    /// Where the services send their traces; without it they send none
    #[arg(long)]
    pub traces: Option<String>,
}

/// What a closed loop measures.
struct Flow {
    name: &'static str,
    span: &'static str,
    target_cpu_ms: Option<f64>,
    plan: Plan,
}

/// The place where it happens.
struct Bench {
    options: Options,
    stores: Stores,
    pod: Pod,
    services: Services,
    tokens: TestTokens,
    tls: ClientConfig,
    containers: Vec<(String, Container)>,
    figures: Figures,
}

/// Measures everything.
pub async fn figures(options: Options, say: fn(&str)) -> anyhow::Result<Figures> {
    shop_auth::install_crypto();
    let mut bench = Bench::set_up(options, say).await?;
    let measured = bench.measure_all(say).await;
    if let Err(error) = measured {
        bench.figures.gaps.push(format!("what comes after the last figure: {error:#}"));
    }
    let Bench { stores, services, figures, .. } = bench;
    // Before the stores: what still runs would complain that they are gone.
    drop(services);
    stores.remove().await.context("what the benchmark made in the stores stays there")?;
    Ok(figures)
}

impl Bench {
    async fn set_up(options: Options, say: fn(&str)) -> anyhow::Result<Self> {
        let (tokens, pod, stores) = (TestTokens::create(), Pod::find()?, Stores::prepare().await);
        let mut services = Services::new(&options, &stores, &tokens)?;
        say("migrate");
        for (database, service) in DATABASES.into_iter().chain([("", "user")]) {
            services.migrate(service, database, &stores)?;
        }
        say("start the services");
        for service in SERVICES {
            services.start(service, &stores).await?;
        }
        let figures = Figures {
            machine: machine(),
            stores: stores.durability().await?,
            telemetry: options.traces.clone().map_or_else(|| "no traces are sent".into(), |to| format!("to {to}")),
            ..Figures::default()
        };
        let containers = pod.containers();
        Ok(Self { options, stores, pod, services, tokens, tls: tls()?, containers, figures })
    }

    async fn measure_all(&mut self, say: fn(&str)) -> anyhow::Result<()> {
        say("10000 products");
        search::seed(self, "product", 1, 10_000).await?;
        search::seed(self, "product_limit", 1, 1_000).await?;
        flows::measure(self, say).await?;
        orders::measure(self, say).await?;
        mesh::measure(self, say).await?;
        login::measure(self, say).await?;
        say("100000 products");
        search::seed(self, "product", 10_001, 100_000).await?;
        search::measure(self, say).await?;
        sleep(SETTLE).await;
        self.figures.memory = self.services.memory()?;
        Ok(())
    }

    /// A closed or open loop, after a warm-up when its requests can be repeated.
    async fn measure<V: Visitor>(&mut self, flow: Flow, visitors: Vec<V>) -> anyhow::Result<()> {
        let Flow { name, span, target_cpu_ms, plan } = flow;
        let connections = visitors.len();
        let visitors = if plan.requests == u64::MAX {
            pace::run(Plan { duration: WARM_UP, ..plan }, visitors).await.visitors
        } else {
            visitors
        };
        let before = (self.services.cpu()?, stores::cpu(&self.containers));
        let run = pace::run(plan, visitors).await;
        let after = (self.services.cpu()?, stores::cpu(&self.containers));
        let mut summaries = run.record.summaries(run.elapsed);
        let summary = summaries.pop().context("nothing was sent")?;
        let succeeded = summary.succeeded();
        self.figures.flows.push(Figure {
            name,
            span,
            load: plan.name(connections).to_string(),
            cpu_ms: each(&before.0, &after.0, succeeded),
            stores_cpu_ms: each(&before.1, &after.1, succeeded),
            summary: FlowSummary { requests: summary.requests + run.unsent, ..summary },
            target_cpu_ms,
            limit: None,
        });
        Ok(())
    }

    /// Adds what a store alone does to the last flow; a store that cannot be asked is a gap.
    fn limited_by(&mut self, limit: anyhow::Result<Limit>) {
        let Some(figure) = self.figures.flows.last_mut() else { return };
        match limit {
            Ok(limit) => figure.limit = Some(limit),
            Err(error) => self.figures.gaps.push(format!("the limit of {}: {error:#}", figure.name)),
        }
    }

    fn closed_loop(&self) -> Plan {
        Plan { per_second: None, duration: Duration::from_secs(self.options.seconds), requests: u64::MAX }
    }

    /// Access tokens of so many buyers; the first always is the same user.
    fn buyers(&self, count: u32) -> Arc<[String]> {
        let buyer = |number: u32| self.tokens.mint(Uuid::from_u128(u128::from(number) + 1), &[Role::Buyer]);
        (0..count).map(buyer).collect()
    }
}

/// Milliseconds for each success.
fn each(before: &[(String, Duration)], after: &[(String, Duration)], successes: u64) -> BTreeMap<String, f64> {
    let worked = after.iter().filter_map(|(name, after)| {
        let (_, before) = before.iter().find(|(known, _)| known == name)?;
        let per_second = rate(successes, after.saturating_sub(*before));
        Some((name.clone(), if per_second > 0.0 { 1_000.0 / per_second } else { 0.0 }))
    });
    worked.collect()
}
