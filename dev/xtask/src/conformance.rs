//! Schemathesis asks a running Shop everything its OpenAPI document allows and much that it does not: no answer may be a 5xx,
//! and none may differ from what is documented.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::Cached;
use crate::paths::Paths;
use crate::shell;
use crate::step::{Outcome, Step};
use crate::target::Target;

/// What an answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance";
/// The fuzzing phase goes on until then; the seed makes a failure come back.
const SECONDS: &str = "30";
const SEED: &str = "1";

/// Makes Python's environment with schemathesis, unless it is there.
pub fn install(step: &Step, paths: &Paths) -> Result<Outcome> {
    let requirements = paths.source.join("dev/conformance/requirements.txt");
    let cached = Cached::new(folder(paths), &[&fs::read_to_string(&requirements)?]);
    if cached.is_fresh() {
        return Ok(Outcome::Cached);
    }
    for old in [cached.part(), cached.file.clone()] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    step.run(Command::new("python3").args(["-m", "venv"]).arg(cached.part()))?;
    let mut pip = Command::new(cached.part().join("bin/python"));
    step.run(pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    cached.keep()?;
    Ok(Outcome::Built)
}

/// Asks, as a seller; the report goes to the terminal.
pub fn run(paths: &Paths, target: &Target) -> Result<Outcome> {
    let mut sign_up = Command::new(paths.built("shop-seller"));
    let token = shell::output(sign_up.envs(target.environment(paths))).context("nobody could become a seller")?;
    let url = target.shop_url();
    let status = Command::new(folder(paths).join("bin/python"))
        .args(["-m", "schemathesis.cli", "run", &format!("{url}/swagger-json"), "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--continue-on-failure"])
        .args(["--max-examples", "10", "--max-time", SECONDS, "--seed", SEED, "--request-timeout", "20"])
        .args(["--warnings", "off"])
        // It keeps what it learned in the folder it runs in.
        .current_dir(&paths.cache)
        .stdin(Stdio::null())
        .status()
        .context("schemathesis cannot be run")?;
    if !status.success() {
        bail!("the Shop does not answer as documented ({status})");
    }
    Ok(Outcome::Done)
}

/// Python finds its packages relative to itself, so the folder may be moved into place.
fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("schemathesis")
}
