//! Figures of the operator: what it costs to look after so many Shops, and how soon it notices.
//!
//! The release program runs as a process of its own, so that processor time and memory are its own, on an API server with
//! etcd and Kubernetes' controllers; pods only claim to run. `stage` sets that up, `program` is the operator, `shops` makes
//! Shops and notes when they turn ready, `populations` and `secrets` measure, `report` is what people read.

pub mod report;

mod populations;
mod program;
mod secrets;
mod shops;
mod stage;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::process::machine;
use report::Figures;

/// Measures the operator. Needs Kubernetes' own programs (`SHOP_TEST_KUBEBOX`); `cargo xtask bench --operator` sets
/// everything up.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The folder with the operator's release program
    #[arg(long)]
    pub programs: PathBuf,
    /// The folder for the figures and the operator's logs
    #[arg(long)]
    pub output: PathBuf,
    /// How many Shops, one number after the other, each larger than the last and its newcomers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000])]
    pub shops: Vec<u32>,
    /// Shops that come one by one when all are ready
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub newcomers: u32,
    /// Seconds in which nothing happens
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub idle: u64,
    /// Secrets of somebody else in the namespace of a Shop
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub secrets: u32,
}

/// Measures everything.
pub async fn figures(options: &Options, say: fn(&str)) -> anyhow::Result<Figures> {
    let grows = options.shops.windows(2).all(|pair| pair[0] + options.newcomers < pair[1]);
    ensure!(options.shops.first().is_some_and(|first| *first > 0) && grows, "--shops has to grow: 1,100,1000");
    fs::create_dir_all(&options.output).with_context(|| format!("{} cannot be made", options.output.display()))?;
    let mut figures = Figures { machine: machine(), ..Figures::default() };
    if let Err(error) = secrets::measure(options, &mut figures, say).await {
        figures.gaps.push(format!("the rest beside foreign Secrets: {error:#}"));
    }
    if let Err(error) = populations::measure(options, &mut figures, say).await {
        figures.gaps.push(format!("what comes after the last figure: {error:#}"));
    }
    Ok(figures)
}
