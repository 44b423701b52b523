//! A shop's daily mix, for any Shop that runs: who visits it, what they do, and what became of their orders.

mod audit;
mod options;
mod report;
mod stage;
mod visit;

use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};

pub use options::Options;
pub use report::Report;
pub use visit::address;

use crate::{
    http::{self, Connection},
    pace::{self, Plan},
};
use audit::Audit;
use visit::Visit;

/// Sends the load, follows its orders, and reports. `say` is told of each step.
pub async fn load(options: &Options, say: fn(&str)) -> anyhow::Result<Report> {
    let url = options.url()?;
    let tls = http::tls()?;
    let stage = stage::set(options, &url, &Connection::to(&url, &tls), say).await?;
    let visits: Vec<Visit> = (0..options.connections)
        .map(|number| {
            let random = StdRng::seed_from_u64(options.seed.wrapping_add(number as u64));
            Visit::new(Connection::to(&url, &tls), stage.buyer(number), stage.goods(), random)
        })
        .collect();
    let plan =
        Plan { per_second: options.rate, duration: Duration::from_secs(options.duration), requests: options.requests };
    let name = plan.name(options.connections).to_string();
    say(&format!("{name} for {} s", options.duration));
    let run = pace::run(plan, visits).await;
    say("follow the orders");
    let orders = Audit::new(run.visitors).settle(Duration::from_secs(options.settle)).await;
    Ok(Report::new(url, name, options.seed, (run.record, run.elapsed, run.unsent), orders))
}
