//! The commands.

mod dlq;
mod hibernate;
mod plan;
mod report;
mod rotate;
mod status;
mod trace;

use clap::Subcommand;

use crate::{cluster::Cluster, output::Shown};

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Everything about a Shop on one screen. Ends with 0 when it is Ready, with 1 when it is not.
    Status(status::Status),
    /// What a changed Shop would create, change and delete. Writes nothing; ends with 0 without differences, else with 1.
    Plan(plan::Plan),
    /// What happened to an order, in every service, as a tree.
    Trace(trace::Trace),
    /// Messages that a service gave up on: list them, read them, send them back.
    Dlq(dlq::Dlq),
    /// Replace the generated passwords and keys of a Shop while it runs.
    Rotate(rotate::Rotate),
    /// Stop services and stores, and keep the data.
    Hibernate(hibernate::Lifecycle),
    /// Start a hibernated Shop again.
    Wake(hibernate::Lifecycle),
    /// Collect what others need to help you into one file, without secrets.
    Report(report::Report),
}

impl Command {
    /// Does it.
    pub async fn run(self, cluster: Cluster) -> anyhow::Result<Shown> {
        match self {
            Self::Status(command) => command.run(&cluster).await,
            Self::Plan(command) => Box::pin(command.run(cluster)).await,
            Self::Trace(command) => command.run(&cluster).await,
            Self::Dlq(command) => command.run(&cluster).await,
            Self::Rotate(command) => command.run(&cluster).await,
            Self::Hibernate(command) => command.run(&cluster, true).await,
            Self::Wake(command) => command.run(&cluster, false).await,
            Self::Report(command) => Box::pin(command.run(&cluster)).await,
        }
    }
}
