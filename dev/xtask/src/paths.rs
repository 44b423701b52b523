//! Where things are: the source tree, the user's cache, the cluster's state.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that every command works with.
pub struct Paths {
    /// The root of the source tree.
    pub source: PathBuf,
    /// What may be deleted at any time and is made again when it is missing.
    pub cache: PathBuf,
    /// Programs: what the cluster runs and what goes into images, and `kubectl` and `helm`.
    pub bin: PathBuf,
    /// The output of every long command, one file a step.
    pub log: PathBuf,
    /// What cargo builds.
    pub target: PathBuf,
}

impl Paths {
    /// Finds the folders, and makes those of the cache.
    pub fn find() -> Result<Self> {
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let source = manifest.ancestors().nth(2).context("xtask lives two folders below the root")?.to_path_buf();
        let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(&env::var_os("HOME").context("HOME is not set")?).join(".cache"),
        };
        let cache = base.join("shopkeeper");
        let paths = Self {
            source,
            bin: cache.join("bin"),
            log: cache.join("log"),
            target: env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache.join("target"), PathBuf::from),
            cache,
        };
        for folder in [&paths.bin, &paths.log] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(paths)
    }

    /// A static program that cargo built.
    pub fn built(&self, program: &str) -> PathBuf {
        self.target.join(crate::RUST_TARGET).join("release").join(program)
    }
}
