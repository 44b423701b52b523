//! `up`: from a fresh machine to a delivered order.

use std::thread;

use anyhow::{Result, anyhow};

use crate::RUST_TARGET;
use crate::images;
use crate::install;
use crate::packages;
use crate::paths::Paths;
use crate::programs::{self, GO_PROGRAMS, KUBEBOX};
use crate::shell;
use crate::step::{Outcome, Step, Steps};
use crate::target::Target;

/// What to do when something cannot be fetched.
pub const NETWORK: &str = "check that this machine reaches its package registries (or their proxies)";
/// What to do when a build fails.
pub const LOGS: &str = "read the log named above";

/// Does all of it, and says where the time went.
pub fn up(paths: &Paths) -> Result<()> {
    let steps = Steps::new(paths.log.clone());
    let target = until_loaded(paths, &steps)?;
    until_purchased(paths, &steps, &target)?;
    steps.print_table();
    println!("\nThe Shop answers at {}\nPoint your tools at it: eval \"$(cargo xtask env)\"", target.shop_url());
    Ok(())
}

/// The operator, a Shop and a delivered order in a cluster that has the images.
pub fn until_purchased(paths: &Paths, steps: &Steps, target: &Target) -> Result<()> {
    steps.run("operator", LOGS, |_| {
        install::operator(paths, target)?;
        Ok(Outcome::Done)
    })?;
    steps.run("shop", "read why the pods above do not become ready", |_| {
        install::shop(paths, target)?;
        Ok(Outcome::Done)
    })?;
    steps.run(
        "purchase",
        "read what the purchase says above; `cargo xtask logs SERVICE` shows a service's own view",
        |_| {
            install::purchase(paths, target)?;
            Ok(Outcome::Done)
        },
    )
}

/// A cluster with every image in it.
pub fn until_loaded(paths: &Paths, steps: &Steps) -> Result<Target> {
    let target = Target::choose(paths);
    match &target {
        Target::Local(_) => {
            packages::check_machine()?;
            steps.run("packages", NETWORK, packages::install)?;
            steps.run("rust target", NETWORK, packages::add_rust_target)?;
            build_beside_each_other(paths, steps)?;
        }
        Target::Kind(_) => steps.run("services", LOGS, |step| build_services(step, paths))?,
    }
    steps.run("cluster", "`cargo xtask down` clears what is left of an earlier one", |_| {
        Ok(if target.start()? { Outcome::Built } else { Outcome::Cached })
    })?;
    let mut loaded = Vec::new();
    steps.run("images", LOGS, |_| {
        loaded = images::load(paths, &target)?;
        Ok(if loaded.is_empty() { Outcome::Cached } else { Outcome::Built })
    })?;
    if !loaded.is_empty() {
        steps.run("restarts", LOGS, |_| {
            install::restart_users_of(&target.kubectl(paths), &loaded)?;
            Ok(Outcome::Done)
        })?;
    }
    steps.run("add-ons", LOGS, |step| {
        install::add_ons(step, paths, &target)?;
        Ok(Outcome::Done)
    })?;
    Ok(target)
}

/// Rust, Go and downloads use different things, so they go on beside each other; one that fails lets the others finish.
fn build_beside_each_other(paths: &Paths, steps: &Steps) -> Result<()> {
    let rust = || steps.run("services", LOGS, |step| build_services(step, paths));
    let go = || {
        GO_PROGRAMS.iter().chain([&KUBEBOX]).try_for_each(|program| {
            steps.run(&format!("go {}", program.name), NETWORK, |step| program.build(step, paths))
        })
    };
    let downloads = || {
        steps.run("traefik", NETWORK, |step| programs::TRAEFIK.download(step, paths))?;
        steps.run("store packages", NETWORK, |step| programs::make_rootfs(step, paths))
    };
    let lanes: [&(dyn Fn() -> Result<()> + Sync); 3] = [&rust, &go, &downloads];
    let failures: Vec<String> = thread::scope(|scope| {
        let running = lanes.map(|lane| scope.spawn(lane));
        let results = running.map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a build stopped unexpectedly"))));
        results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect()
    });
    if failures.is_empty() { Ok(()) } else { Err(anyhow!(failures.join("\n\n"))) }
}

/// What no image is made of and no `up` runs; tests compile these in the dev profile. Features of dependencies are the same
/// with and without them, except for kube's, which the plugin asks more of than an operator should carry.
const NOT_FOR_IMAGES: [&str; 5] = ["xtask", "shop-faults", "shop-testing", "shopkeeper-cli", "shopkeeper-testing"];

/// Builds the operator, the seven services, the purchase, the load and the benchmarks, all static.
pub fn build_services(step: &Step, paths: &Paths) -> Result<Outcome> {
    let before = paths.built("shopkeeper-operator").metadata().and_then(|file| file.modified()).ok();
    let mut cargo = shell::cargo(paths);
    // One selection for all: cargo unifies features over what it builds, and another one would compile dependencies again.
    cargo.args(["build", "--release", "--locked", "--target", RUST_TARGET, "--workspace"]);
    for package in NOT_FOR_IMAGES {
        cargo.args(["--exclude", package]);
    }
    step.run(&cargo)?;
    let after = paths.built("shopkeeper-operator").metadata()?.modified().ok();
    Ok(if before == after { Outcome::Cached } else { Outcome::Built })
}
