//! `load` and `bench`: a shop's daily mix on the running Shop, and figures of the services and of the operator.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::paths::Paths;
use crate::programs::{KUBEBOX, KUBEBOX_VARIABLE};
use crate::step::{Outcome, Steps};
use crate::target::Target;
use crate::test_stores::TestStores;
use crate::up;

/// What is passed on.
#[derive(Args)]
pub struct Options {
    /// Options of the program itself; `-- --help` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What is measured.
#[derive(Args)]
pub struct Subject {
    /// The operator with 1, 100 and 1,000 Shops, in place of the services
    #[arg(long)]
    operator: bool,
    #[command(flatten)]
    options: Options,
}

/// Sends load to the running Shop.
pub fn load(paths: &Paths, options: &Options) -> Result<()> {
    let steps = Steps::new(paths.log.clone());
    steps.run("services", up::LOGS, |step| up::build_services(step, paths))?;
    let target = Target::choose(paths);
    if !target.is_up() {
        bail!("no Shop runs: start one with `cargo xtask up`, or name yours with --url and run shop-load itself");
    }
    let mut load = Command::new(paths.built("shop-load"));
    watched(load.envs(target.environment(paths)).args(&options.arguments))
}

/// Measures the services or the operator; the figures go to the user's cache.
pub fn bench(paths: &Paths, subject: &Subject) -> Result<()> {
    if subject.operator { operator(paths, &subject.options) } else { services(paths, &subject.options) }
}

/// Measures the services on stores of their own.
fn services(paths: &Paths, options: &Options) -> Result<()> {
    let steps = Steps::new(paths.log.clone());
    let was_up = Target::choose(paths).is_up();
    let target = up::until_loaded(paths, &steps)?;
    let stores = TestStores::new(paths, &target);
    steps.run("stores", "read the reason above", |_| {
        stores.start()?;
        Ok(Outcome::Done)
    })?;
    let output = paths.cache.join("bench");
    let mut figures = figures("shop-figures", paths, &output, options);
    let measured = watched(figures.envs(target.environment(paths)).envs(stores.environment()?));
    stores.stop()?;
    if !was_up {
        target.stop()?;
    }
    println!("{}", output.join("figures.json").display());
    measured
}

/// Measures the operator on an API server of its own, which needs no cluster.
fn operator(paths: &Paths, options: &Options) -> Result<()> {
    let steps = Steps::new(paths.log.clone());
    steps.run("services", up::LOGS, |step| up::build_services(step, paths))?;
    steps.run("go kubebox", up::NETWORK, |step| KUBEBOX.build(step, paths))?;
    let output = paths.cache.join("bench");
    let mut figures = figures("shop-operator-figures", paths, &output, options);
    let measured = watched(figures.env(KUBEBOX_VARIABLE, paths.bin.join(KUBEBOX.name)));
    println!("{}", output.join("operator.json").display());
    measured
}

fn figures(program: &str, paths: &Paths, output: &Path, options: &Options) -> Command {
    let mut figures = Command::new(paths.built(program));
    figures.arg("--programs").arg(paths.built("")).arg("--output").arg(output).args(&options.arguments);
    figures
}

fn watched(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status()?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
