//! Measures the services; `cargo xtask bench` sets up what it needs.

use std::{process::ExitCode, sync::OnceLock, time::Instant};

use clap::Parser as _;
use shop_bench::figures::{Options, figures};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nothing was measured: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    let output = options.output.clone();
    let figures = Box::pin(figures(options, say)).await?;
    let table = figures.table();
    println!("\n{table}");
    std::fs::write(output.join("figures.json"), serde_json::to_vec_pretty(&figures)?)?;
    std::fs::write(output.join("figures.txt"), table)?;
    Ok(())
}

/// One line of progress with the time since the start.
fn say(step: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    eprintln!("{:>7.2} s  {step}", since.as_secs_f64());
}
