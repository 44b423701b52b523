//! The commands.

mod dlq;

use clap::Subcommand;

use crate::{cluster::Cluster, output::View};

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Messages that a service gave up on: list them, read them, send them back.
    #[command(subcommand)]
    Dlq(dlq::Dlq),
}

impl Command {
    /// Does it.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Box<dyn View>> {
        match self {
            Self::Dlq(command) => command.run(cluster).await,
        }
    }
}
