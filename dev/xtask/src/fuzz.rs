//! Every fuzz target for a while. What they find interesting is kept in the cache and is where the next run begins.

use std::fs;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::shell;
use crate::step::Step;

/// How long each target runs.
const SECONDS: u32 = 60;

/// Builds and runs them one after the other; an input that breaks one ends it, and stays in the cache.
pub fn run(step: &Step, paths: &Paths) -> Result<()> {
    let (folder, kept) = (paths.source.join("fuzz"), paths.cache.join("fuzz"));
    let mut targets = fs::read_dir(folder.join("fuzz_targets"))?.collect::<Result<Vec<_>, _>>()?;
    targets.sort_by_key(fs::DirEntry::path);
    for target in targets {
        let path = target.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a target has a plain name")?;
        let corpus = kept.join(name);
        fs::create_dir_all(&corpus)?;
        let mut cargo = shell::cargo(paths);
        cargo.current_dir(&folder).args(["run", "--locked", "--bin", name, "--"]);
        cargo.arg(format!("-max_total_time={SECONDS}")).arg(format!("-artifact_prefix={}-", corpus.display()));
        cargo.arg(&corpus).args(Some(folder.join("seeds").join(name)).filter(|seeds| seeds.is_dir()));
        step.run(&cargo)?;
    }
    Ok(())
}
