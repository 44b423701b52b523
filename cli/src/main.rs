//! `kubectl shopkeeper`: what people do with a running Shop, through the Kubernetes API and with the rights they have there.
//!
//! `commands` has one file a command, each ending in a value that can be shown; `cluster` finds the Shop and what belongs to
//! it; `forward` reaches its pods, and `broker` its RabbitMQ, wherever that is; `redact` takes secrets out of texts; `output`
//! shows, and `explain` says what went wrong.

mod broker;
mod cluster;
mod commands;
mod explain;
mod forward;
mod output;
mod redact;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cluster::{Cluster, Target},
    commands::Command,
    explain::explain_with_advice,
};

/// What a command that failed ends with; `status` and `plan` say something else with 1.
const FAILED: u8 = 2;

/// Looks after a Shop from the command line.
#[derive(Parser)]
#[command(version, name = "kubectl-shopkeeper", bin_name = "kubectl shopkeeper")]
#[command(after_help = "It works through the Kubernetes API with your rights, and ends with 2 when something failed.")]
struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(run(Cli::parse())).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let words = explain_with_advice(&error);
            anstream::eprintln!("{}: {words}", output::styled("error", output::BAD));
            ExitCode::from(FAILED)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<u8> {
    // Already installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::connect(cli.target).await?;
    Box::pin(cli.command.run(cluster)).await?.print()
}
