//! The cluster that everything is installed into: the local one, or kind where Docker runs.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cluster::{Cluster, network};
use crate::kind::Kind;
use crate::kubectl::Kubectl;
use crate::paths::Paths;
use crate::shell;

/// A cluster.
pub enum Target {
    /// Upstream's Kubernetes without Docker.
    Local(Cluster),
    /// Kubernetes in Docker.
    Kind(Kind),
}

impl Target {
    /// kind where Docker runs and kind is installed, else the local cluster.
    pub fn choose(paths: &Paths) -> Self {
        if Kind::is_possible() { Self::Kind(Kind::new(paths)) } else { Self::Local(Cluster::new(&paths.bin)) }
    }

    /// The folder of what is known about the running cluster; gone with it.
    pub fn state(&self) -> &Path {
        match self {
            Self::Local(cluster) => cluster.state(),
            Self::Kind(kind) => kind.state(),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("admin.kubeconfig")
    }

    /// Whether the cluster runs.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Local(cluster) => cluster.is_up(),
            Self::Kind(_) => Kind::is_up(),
        }
    }

    /// Makes the cluster, or starts what of it does not run. Says whether there was anything to do.
    pub fn start(&self) -> Result<bool> {
        match self {
            Self::Local(cluster) => cluster.start(),
            Self::Kind(kind) => kind.start(),
        }
    }

    /// Removes the cluster.
    pub fn stop(&self) -> Result<()> {
        match self {
            Self::Local(cluster) => cluster.stop(),
            Self::Kind(kind) => kind.stop(),
        }
    }

    /// Where the Shop answers, seen from this machine.
    pub fn shop_url(&self) -> String {
        match self {
            Self::Local(_) => format!("http://{}", network::NODE),
            Self::Kind(_) => "http://localhost".into(),
        }
    }

    /// Puts the images of an archive into the cluster; `write` produces it.
    pub fn import(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        match self {
            Self::Local(cluster) => {
                let mut import = Command::new("ctr");
                import.arg("-a").arg(cluster.containerd_socket()).args(["-n", "k8s.io", "images", "import", "-"]);
                pipe(&mut import, write)
            }
            Self::Kind(kind) => kind.import(write),
        }
    }

    /// kubectl, pointed at the cluster.
    pub fn kubectl(&self, paths: &Paths) -> Kubectl {
        Kubectl { environment: self.environment(paths) }
    }

    /// The variables that point any tool at the cluster and its Shop.
    pub fn environment(&self, paths: &Paths) -> Vec<(&'static str, String)> {
        let path = env::var("PATH").unwrap_or_default();
        let bin = paths.bin.to_string_lossy();
        let with_bin = if path.split(':').any(|folder| folder == bin) { path.clone() } else { format!("{bin}:{path}") };
        // There the tests' own tools are needed too, and the machine's kubectl and helm come first.
        let before_bin = format!("{path}:{bin}");
        vec![
            ("KUBECONFIG", self.kubeconfig().to_string_lossy().into_owned()),
            ("SHOP_NAMESPACE", crate::install::SHOP_NAMESPACE.into()),
            ("SHOP_NAME", crate::install::SHOP.into()),
            ("SHOP_URL", self.shop_url()),
            ("PATH", if matches!(self, Self::Local(_)) { with_bin } else { before_bin }),
        ]
    }
}

/// Runs a command that reads an archive from its standard input.
fn pipe(command: &mut Command, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", shell::show(command)))?;
    let written =
        child.stdin.take().map_or(Ok(()), |stdin| write(&mut std::io::BufWriter::with_capacity(1 << 20, stdin)));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`{}` failed: {}", shell::show(command), shell::tail(&String::from_utf8_lossy(&output.stderr)));
    }
    written
}

/// Writes an archive to a file that is deleted again.
pub fn with_file(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
    read: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let mut output = std::io::BufWriter::new(fs::File::create(file)?);
    write(&mut output)?;
    output.flush()?;
    drop(output);
    let result = read(file);
    fs::remove_file(file)?;
    result
}
