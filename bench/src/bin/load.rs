//! Sends a shop's daily mix to a running Shop.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use shop_bench::{
    console::say,
    load::{Options, Report, load},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        // Errors under load are a result; an order that was accepted and is not there is a failure.
        Ok(report) if report.orders.missing == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the load was not sent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    let report = load(options, say).await?;
    println!("\n{report}");
    if let Some(file) = &options.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(report)
}
