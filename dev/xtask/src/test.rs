//! `test`: format, lints, the purchase on a cluster, and every test of the workspace with real stores.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::RUST_TARGET;
use crate::conformance;
use crate::definitions;
use crate::fuzz;
use crate::install;
use crate::manifest;
use crate::paths::Paths;
use crate::programs;
use crate::shell;
use crate::step::{Outcome, Steps};
use crate::target::Target;
use crate::test_stores::TestStores;
use crate::up;

/// How thoroughly to test, and what to leave behind.
#[derive(Args)]
pub struct Options {
    /// Run the long campaigns too
    #[arg(long)]
    deep: bool,
    /// Leave the cluster running, also when it was started for the tests
    #[arg(long)]
    keep: bool,
}

/// Runs everything, from the cheapest to the dearest; leaves the machine as it was found.
pub fn test(paths: &Paths, options: &Options) -> Result<()> {
    let steps = Steps::new(paths.log.clone());
    let was_up = Target::choose(paths).is_up();
    let mut results = Vec::new();
    let outcome = all(paths, options, &steps, &mut results);
    if !was_up && !options.keep {
        steps.run("down", "`cargo xtask down` tries it again", |_| {
            Target::choose(paths).stop()?;
            Ok(Outcome::Done)
        })?;
    }
    steps.print_table();
    println!();
    println!("{}", results.join("\n"));
    outcome
}

fn all(paths: &Paths, options: &Options, steps: &Steps, results: &mut Vec<String>) -> Result<()> {
    steps.run("format", "cargo fmt --all", |step| {
        step.run(shell::cargo(paths).args(["fmt", "--all", "--check"]))?;
        Ok(Outcome::Done)
    })?;
    steps.run("rules", "read the failed tests above", |_| {
        rules(paths, results)?;
        Ok(Outcome::Done)
    })?;
    let target = up::until_loaded(paths, steps)?;
    lint_files(paths, steps, &target)?;
    steps.run("clippy", "repair what it names", |step| {
        let lints =
            ["clippy", "--locked", "--target", RUST_TARGET, "--workspace", "--all-targets", "--", "-D", "warnings"];
        step.run(shell::cargo(paths).args(lints))?;
        Ok(Outcome::Done)
    })?;
    up::until_purchased(paths, steps, &target)?;
    steps.run("helm test", "`cargo xtask logs operator` shows the operator's view", |_| {
        install::helm_test(paths, &target)?;
        Ok(Outcome::Done)
    })?;
    steps.run("definitions", up::NETWORK, |step| definitions::download(step, paths))?;
    steps.run("install.yaml", "repair what the API server names in charts/", |_| {
        manifest::try_out(paths, &target.kubectl(paths))?;
        Ok(Outcome::Done)
    })?;
    let registry = "check that this machine reaches PyPI (or its proxy); on Debian python3-venv has to be installed";
    steps.run("schemathesis", registry, |step| conformance::install(step, paths))?;
    steps.run("conformance", "read the report above; it names the requests", |_| conformance::run(paths, &target))?;
    // The operator's tests start an API server of their own, also where the cluster is kind.
    steps.run("go kubebox", up::NETWORK, |step| programs::KUBEBOX.build(step, paths))?;
    steps.run("metrics server", up::LOGS, |_| {
        install::metrics_server(paths, &target)?;
        Ok(Outcome::Done)
    })?;
    let stores = TestStores::new(paths, &target);
    steps.run("test stores", "read the reason above", |_| {
        stores.start()?;
        Ok(Outcome::Done)
    })?;
    let tested = steps.run("tests", "read the failed tests above", |_| {
        workspace(paths, options, &target, &stores, results)?;
        Ok(Outcome::Done)
    });
    steps.run("test stores gone", "kubectl delete namespace shopkeeper-test", |_| {
        stores.stop()?;
        Ok(Outcome::Done)
    })?;
    tested?;
    if options.deep {
        steps.run("fuzz", "the log names a file with the input; give it to the target alone", |step| {
            fuzz::run(step, paths)?;
            Ok(Outcome::Done)
        })?;
    }
    Ok(())
}

/// What other people's tools say to files that no compiler reads. Charts are left to the operator's tests, which find their
/// tools on the PATH.
fn lint_files(paths: &Paths, steps: &Steps, target: &Target) -> Result<()> {
    steps.run("promtool", up::NETWORK, |step| programs::unpack_promtool(step, paths))?;
    for program in &programs::TEST_PROGRAMS {
        steps.run(&format!("go {}", program.name), up::NETWORK, |step| program.build(step, paths))?;
    }
    let kubectl = target.kubectl(paths);
    steps.run("workflows", "repair what actionlint names in .github/workflows", |_| {
        let workflows = [".github/workflows/ci.yml", ".github/workflows/release.yml"];
        shell::run(kubectl.tool("actionlint", &workflows).current_dir(&paths.source))?;
        Ok(Outcome::Done)
    })?;
    steps.run("cargo-deny", up::NETWORK, |step| programs::CARGO_DENY.download(step, paths))?;
    let repair = "choose another crate, or give deny.toml a reason; `cargo update --workspace` in fuzz/";
    steps.run("dependencies", repair, |step| {
        // Advisories are kept where not every machine reaches; .github/workflows/ci.yml looks at them.
        let arguments = ["--locked", "check", "bans", "licenses", "sources"];
        step.run(kubectl.tool("cargo-deny", &arguments).current_dir(&paths.source))?;
        // The fuzz targets are built by `--deep` alone, and would meet a stale lock file only there.
        let locked = ["update", "--workspace", "--locked"];
        step.run(shell::cargo(paths).args(locked).current_dir(paths.source.join("fuzz")))?;
        Ok(Outcome::Done)
    })
}

/// The project's rules about itself; a workspace of its own, built for this machine.
fn rules(paths: &Paths, results: &mut Vec<String>) -> Result<()> {
    let mut cargo = shell::cargo(paths);
    cargo.args(["test", "--locked", "--no-fail-fast", "--manifest-path", "dev/checks/Cargo.toml"]);
    watched(&mut cargo, results)
}

/// Every test of the workspace, with the running Shop and the test stores in its environment.
fn workspace(
    paths: &Paths,
    options: &Options,
    target: &Target,
    stores: &TestStores<'_>,
    results: &mut Vec<String>,
) -> Result<()> {
    let mut cargo = shell::cargo(paths);
    cargo.args(["test", "--locked", "--target", RUST_TARGET, "--workspace", "--no-fail-fast"]);
    cargo.envs(target.environment(paths)).envs(stores.environment()?);
    cargo.env("SHOP_TEST_CYCLONUS", paths.bin.join("cyclonus"));
    cargo.env(programs::KUBEBOX_VARIABLE, paths.bin.join(programs::KUBEBOX.name));
    cargo.env(definitions::VARIABLE, definitions::folder(paths));
    cargo.env(manifest::VARIABLE, manifest::file(paths));
    if options.deep {
        cargo.env("SHOP_TEST_DEEP", "1").env("PROPTEST_CASES", "20000");
    }
    watched(&mut cargo, results)
        .map_err(|error| error.context(crate::diagnosis::namespace(&target.kubectl(paths), install::SHOP_NAMESPACE)))
}

/// Runs cargo where everyone can watch, and keeps its result lines for the end.
fn watched(cargo: &mut Command, results: &mut Vec<String>) -> Result<()> {
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let output = child.stdout.take().context("the output of cargo test is piped")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if line.starts_with("test result:") || line.ends_with("... FAILED") {
            results.push(line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo test failed ({status})");
    }
    Ok(())
}
