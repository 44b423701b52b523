//! Measures the operator; `cargo xtask bench --operator` sets up what it needs.

use std::process::ExitCode;

use clap::Parser as _;
use shop_bench::{
    console::{publish, say},
    operator::{Options, figures},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nothing was measured: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let figures = Box::pin(figures(options, say)).await?;
    publish(&options.output, "operator", &figures.table(), &figures)
}
