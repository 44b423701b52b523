//! Development's one tool: `cargo xtask up` goes from a fresh machine to a delivered order, `cargo xtask test` checks it all.

mod archive;
mod bench;
mod cache;
mod cluster;
mod conformance;
mod definitions;
mod diagnosis;
mod fuzz;
mod images;
mod install;
mod kind;
mod kubectl;
mod manifest;
mod packages;
mod paths;
mod programs;
mod shell;
mod status;
mod step;
mod target;
mod test;
mod test_stores;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::paths::Paths;
use crate::step::{Outcome, Steps};
use crate::target::Target;

/// What services are compiled for: static programs that need nothing around them.
const RUST_TARGET: &str = "x86_64-unknown-linux-musl";

/// Development's one tool.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make a cluster, install the operator and a Shop, and walk one purchase to its delivery
    Up,
    /// Remove the cluster and every trace of it (what was built stays cached)
    Down,
    /// Build the images and load the changed ones into a cluster, starting it when there is none
    Images,
    /// Show what runs
    Status,
    /// Show what a service, a store or the operator writes
    Logs {
        /// user, product, ..., postgres, ..., or operator
        component: String,
        /// Go on showing
        #[arg(short, long)]
        follow: bool,
    },
    /// Check everything: format, lints, one purchase, all tests with real stores
    Test(test::Options),
    /// Send a shop's daily mix to the running Shop: browse, search, fill carts, check out, follow the orders
    Load(bench::Options),
    /// Measure the services: processor time, throughput, latency, memory; or the operator
    Bench(bench::Subject),
    /// Print install.yaml: both charts, for `kubectl apply --server-side -f -`
    Manifest,
    /// Print shell exports that point any tool at the Shop: eval "$(cargo xtask env)"
    Env,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let paths = Paths::find()?;
    let target = || Target::choose(&paths);
    match task {
        Task::Up => up::up(&paths),
        Task::Down => down(&paths),
        Task::Images => up::until_loaded(&paths, &Steps::new(paths.log.clone())).map(drop),
        Task::Status => status::status(&paths, &target()),
        Task::Logs { component, follow } => status::logs(&paths, &target(), &component, follow),
        Task::Test(options) => test::test(&paths, &options),
        Task::Load(options) => bench::load(&paths, &options),
        Task::Bench(subject) => bench::bench(&paths, &subject),
        Task::Manifest => {
            print!("{}", manifest::install_yaml(&paths, &target().kubectl(&paths))?);
            Ok(())
        }
        Task::Env => {
            status::print_environment(&paths, &target());
            Ok(())
        }
    }
}

fn down(paths: &Paths) -> Result<()> {
    let remedy = "something still uses the cluster's files; the message names them";
    Steps::new(paths.log.clone()).run("down", remedy, |_| {
        Target::choose(paths).stop()?;
        Ok(Outcome::Done)
    })
}
