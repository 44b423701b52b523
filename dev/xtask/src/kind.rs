//! Kubernetes in Docker, where both are there: upstream images, pulled by the node itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::shell;
use crate::target;

const NAME: &str = "shopkeeper";

/// The kind cluster.
pub struct Kind {
    state: PathBuf,
    config: PathBuf,
}

impl Kind {
    /// Whether Docker answers and kind is installed.
    pub fn is_possible() -> bool {
        shell::is_installed("kind") && shell::succeeds(Command::new("docker").arg("info"))
    }

    /// The cluster that `kind-config.yaml` describes.
    pub fn new(paths: &Paths) -> Self {
        Self { state: paths.cache.join("kind"), config: paths.source.join("kind-config.yaml") }
    }

    /// The folder of what is known about the running cluster.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Whether the cluster exists.
    pub fn is_up() -> bool {
        shell::output(Command::new("kind").args(["get", "clusters"]))
            .is_ok_and(|names| names.lines().any(|name| name == NAME))
    }

    /// Makes the cluster unless it exists.
    pub fn start(&self) -> Result<bool> {
        for tool in ["kubectl", "helm"] {
            if !shell::is_installed(tool) {
                bail!("{tool} is not installed; kind is used because Docker runs, and it brings none");
            }
        }
        std::fs::create_dir_all(&self.state)?;
        let kubeconfig = self.state.join("admin.kubeconfig");
        let exists = Self::is_up();
        let mut command = Command::new("kind");
        if exists {
            command.args(["export", "kubeconfig", "--name", NAME]);
        } else {
            command.args(["create", "cluster", "--wait", "120s", "--name", NAME, "--config"]).arg(&self.config);
        }
        shell::run(command.arg("--kubeconfig").arg(kubeconfig))?;
        Ok(!exists)
    }

    /// Deletes the cluster.
    pub fn stop(&self) -> Result<()> {
        shell::run(Command::new("kind").args(["delete", "cluster", "--name", NAME]))?;
        if self.state.exists() {
            std::fs::remove_dir_all(&self.state)?;
        }
        Ok(())
    }

    /// Loads the images of an archive into the node.
    pub fn import(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        target::with_file(&self.state.join("images.tar"), write, |archive| {
            shell::run(Command::new("kind").args(["load", "image-archive", "--name", NAME]).arg(archive))
        })
    }
}
