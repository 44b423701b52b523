//! `shop-audit`: reads a Shop's stores, prints every violation with its ids, and fails when there is one.
//!
//! Run it while nothing is being bought: an order under way looks unfinished.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use shop_faults::{Addresses, Books, Witness, audit, strangers_read};

/// Orders that are read as a stranger.
const SAMPLE: usize = 100;

/// Audits a Shop's stores while nothing is being bought
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    stores: Addresses,
    /// The Shop's URL, to see that a stranger cannot read orders (I8)
    #[arg(long, env = "SHOP_AUDIT_URL", requires = "token")]
    url: Option<String>,
    /// The access token of somebody who has bought nothing
    #[arg(long, env = "SHOP_AUDIT_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // redis and lapin ask the process for its TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let books = Books::read(&options.stores).await?;
    let mut violations = audit(&books, &Witness::default());
    if let (Some(url), Some(token)) = (&options.url, &options.token) {
        let sample: Vec<_> = books.orders.iter().rev().take(SAMPLE).map(|order| order.id).collect();
        violations.extend(strangers_read(url, token, &sample).await?);
    }
    for violation in &violations {
        println!("{violation}");
    }
    let (orders, events) = (books.orders.len(), books.events.len());
    println!("{orders} orders and {events} events audited, {} violations", violations.len());
    if violations.is_empty() { Ok(()) } else { bail!("the stores break invariants") }
}
