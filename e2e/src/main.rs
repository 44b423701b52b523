//! Walks one purchase on a running Shop, and shows the order's timeline and its trace.

use std::{process::ExitCode, sync::OnceLock, time::Instant};

use shop_e2e::{
    Target,
    purchase::{Visit, timeline},
    trace,
};

/// What ends the trace of a delivered order.
const LAST: (&str, &str) = ("order", "process delivery.delivered");

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match walk().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the purchase failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn walk() -> anyhow::Result<()> {
    let target = Target::from_env()?;
    say(&format!("one purchase at {}", target.url));
    let visit = Visit::to(target.clone(), say).await?;
    let (receipt, order) = visit.purchase().await?;
    println!("\n{}", timeline(&receipt, &order));
    say(&format!("wait for the trace {}", receipt.trace_id));
    let trace = trace::fetch(&visit.cluster, &receipt.trace_id, |trace| {
        let last = trace.spans.iter().any(|span| (span.service.as_str(), span.operation.as_str()) == LAST);
        last && trace.is_connected()
    })
    .await?;
    println!("\ntrace {}\n{}", receipt.trace_id, trace.tree());
    println!("{}", target.url);
    Ok(())
}

/// One line of progress with the time since the start.
fn say(step: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    eprintln!("{:>7.2} s  {step}", since.as_secs_f64());
}
