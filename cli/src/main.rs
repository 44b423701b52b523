//! `kubectl shopkeeper`: what people do with a running Shop, through the Kubernetes API and with the rights they have there.
//!
//! `commands` has one file a command, each ending in a value that can be shown; `cluster` finds the Shop and what belongs to
//! it; `forward` reaches a store; `output` shows.

mod cluster;
mod commands;
mod forward;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cluster::{Cluster, Target},
    commands::Command,
    output::Format,
};

/// Looks after a Shop from the command line.
#[derive(Parser)]
#[command(version, name = "kubectl-shopkeeper", bin_name = "kubectl shopkeeper")]
struct Cli {
    #[command(flatten)]
    target: Target,
    /// How to write what was found.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{}: {error:#}", output::styled("error", output::BAD));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    // Already installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::connect(cli.target).await?;
    let found = cli.command.run(&cluster).await?;
    output::print(found.as_ref(), cli.output)
}
