//! The operator as its image runs it: the release program, a process of its own.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reqwest::Client;
use tokio::time::sleep;

use crate::process::{self, ALLOCATOR, free_address};

const NAME: &str = "shopkeeper-operator";
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(10);
const RECONCILES: &str = "shopkeeper_reconciliations_total ";

/// An operator at work; dropping it ends it.
pub struct Program {
    child: Child,
    listen: SocketAddr,
    client: Client,
    log: PathBuf,
}

impl Program {
    /// Starts it and waits until it is at work.
    pub async fn start(programs: &Path, kubeconfig: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut program = Self::spawn(programs, kubeconfig, log)?;
        program.until_at_work().await?;
        Ok(program)
    }

    /// Starts it.
    pub fn spawn(programs: &Path, kubeconfig: &Path, log: &Path) -> anyhow::Result<Self> {
        let listen = free_address()?;
        let mut command = Command::new(programs.join(NAME));
        // Settings of the caller's environment are not the operator's; the rest is as in the chart.
        command.env_clear().envs(ALLOCATOR).env("KUBECONFIG", kubeconfig);
        command.env("SHOPKEEPER_LISTEN", listen.to_string()).env("SHOP_LOG", "info");
        let child = command.stdin(Stdio::null()).stdout(File::create(log)?).spawn();
        let child = child.with_context(|| format!("{NAME} cannot be started"))?;
        Ok(Self { child, listen, client: Client::new(), log: log.to_owned() })
    }

    /// Waits until it holds the Lease and knows the Shops that there are.
    pub async fn until_at_work(&mut self) -> anyhow::Result<()> {
        // One that stands by is ready too, and says something else.
        self.until_it_says(|answer| answer == "ok\n").await
    }

    /// Waits until it would follow another one.
    pub async fn until_it_stands_by(&mut self) -> anyhow::Result<()> {
        self.until_it_says(|answer| answer != "ok\n").await
    }

    async fn until_it_says(&mut self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.ask("readyz").await.is_ok_and(|answer| wanted(&answer)) {
            if started.elapsed() > PATIENCE || self.child.try_wait()?.is_some() {
                bail!("{NAME} is not ready: read {}", self.log.display());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends it as a machine that loses power does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as Kubernetes does, and waits for it.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// The time that it has worked.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.child.id())
    }

    /// Resident memory in MiB: now, and at its highest.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        process::memory(self.child.id())
    }

    /// The reconciles so far, by its own count.
    pub async fn reconciles(&self) -> anyhow::Result<u64> {
        let metrics = self.ask("metrics").await?;
        let count = metrics.lines().find_map(|line| line.strip_prefix(RECONCILES));
        Ok(count.context("the operator does not count its reconciles")?.trim().parse()?)
    }

    async fn ask(&self, path: &str) -> reqwest::Result<String> {
        let url = format!("http://{}/{path}", self.listen);
        self.client.get(url).send().await?.error_for_status()?.text().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
