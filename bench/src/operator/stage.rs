//! An API server with Shops on it, and the operator that looks after them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::ensure;
use kube::Client;
use shopkeeper_testing::{ApiServer, Audit, Kubelet};
use tokio::time::sleep;

use super::{Options, program::Program, shops::Shops};
use crate::record::rate;

/// Who has written nothing for this long has nothing more to write.
const QUIET: Duration = Duration::from_secs(5);
/// Who goes on writing is measured as it is.
const PATIENCE: Duration = Duration::from_mins(2);
/// All Shops are looked at within this time, however many there are.
const PATIENCE_FOR_LOOKS: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(100);
/// How the holder of the Lease renews it, whatever else it does.
const RENEWAL: &str = "update leases";

/// The place where it happens.
pub struct Stage {
    // In the order in which they end: what still runs would complain that the API server is gone.
    /// The operator.
    pub program: Program,
    /// The Shops.
    pub shops: Shops,
    /// An administrator's.
    pub client: Client,
    audit: Audit,
    _kubelet: Kubelet,
    server: ApiServer,
    programs: PathBuf,
    log: PathBuf,
}

/// What an operator does while nothing happens.
pub struct Idle {
    /// Percent of one core.
    pub cpu: f64,
    /// Renewals of the Lease a minute.
    pub renewals: f64,
    /// Other writes a minute.
    pub writes: f64,
    /// What those were.
    pub written: String,
    /// Reconciles a minute.
    pub reconciles: f64,
}

/// What it takes to look at every Shop when there is nothing to do.
pub struct Looks {
    /// Reconciles; a Shop whose turn came by itself meanwhile has had two.
    pub reconciles: u64,
    /// Processor time of all of them.
    pub cpu: Duration,
    /// What was written.
    pub writes: Vec<String>,
}

impl Stage {
    /// Starts all of it.
    pub async fn set_up(options: &Options, log: &str) -> anyhow::Result<Self> {
        let (programs, log) = (options.programs.clone(), options.output.join(log));
        let server = ApiServer::start().await?;
        let client = Client::try_from(server.config().await?)?;
        let kubelet = Kubelet::start(&client, None);
        let shops = Shops::new(client.clone()).await?;
        let program = Program::start(&programs, server.operator_kubeconfigs()[0], &log).await?;
        let [audit, _] = server.audits();
        Ok(Self { program, shops, client, audit, _kubelet: kubelet, server, programs, log })
    }

    /// Ends the operator, and starts another one; answers with when that was.
    pub async fn restart(&mut self) -> anyhow::Result<Instant> {
        self.program.stop()?;
        let (log, started) = (self.log.with_extension("restarted.log"), Instant::now());
        self.program = Program::start(&self.programs, self.server.operator_kubeconfigs()[0], &log).await?;
        Ok(started)
    }

    /// Lets another operator, with a log of this name, stand by, ends the one at work, and tells how long nobody was.
    pub async fn succeed(
        &mut self,
        name: &str,
        end: fn(&mut Program) -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        let log = self.log.with_extension(format!("{name}.log"));
        let mut successor = Program::spawn(&self.programs, self.server.operator_kubeconfigs()[0], &log)?;
        successor.until_it_stands_by().await?;
        let ended = Instant::now();
        end(&mut self.program)?;
        successor.until_at_work().await?;
        let elapsed = ended.elapsed();
        self.program = successor;
        Ok(elapsed)
    }

    /// Waits until the operator has nothing more to write; answers with what it wrote since the last time.
    pub async fn settle(&mut self) -> anyhow::Result<Vec<String>> {
        let (started, mut quiet_since, mut writes) = (Instant::now(), Instant::now(), Vec::new());
        while quiet_since.elapsed() < QUIET && started.elapsed() < PATIENCE {
            sleep(POLL).await;
            let (_, others) = self.written()?;
            if !others.is_empty() {
                quiet_since = Instant::now();
                writes.extend(others);
            }
        }
        Ok(writes)
    }

    /// Has the operator look at every Shop, as it does by itself every five minutes.
    pub async fn look_again(&mut self) -> anyhow::Result<Looks> {
        self.written()?;
        let (cpu, reconciles) = (self.program.cpu()?, self.program.reconciles().await?);
        self.shops.remind_all().await?;
        self.until_all_are_looked_at(reconciles).await?;
        let writes = self.settle().await?;
        let reconciles = self.program.reconciles().await? - reconciles;
        Ok(Looks { reconciles, cpu: self.program.cpu()?.saturating_sub(cpu), writes })
    }

    /// Waits until the operator has made as many reconciles as there are Shops, beyond those that it had made.
    pub async fn until_all_are_looked_at(&self, made: u64) -> anyhow::Result<()> {
        let (started, all) = (Instant::now(), u64::from(self.shops.count()));
        while self.program.reconciles().await? < made + all {
            let patient = started.elapsed() < PATIENCE_FOR_LOOKS;
            ensure!(patient, "not all of {all} Shops were looked at within {PATIENCE_FOR_LOOKS:?}");
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Leaves it alone for so long.
    pub async fn idle(&mut self, window: Duration) -> anyhow::Result<Idle> {
        self.written()?;
        let (started, cpu, reconciles) = (Instant::now(), self.program.cpu()?, self.program.reconciles().await?);
        sleep(window).await;
        let (renewals, others) = self.written()?;
        let (elapsed, cpu) = (started.elapsed(), self.program.cpu()?.saturating_sub(cpu));
        let reconciles = self.program.reconciles().await? - reconciles;
        let a_minute = |count| rate(count, elapsed) * 60.0;
        Ok(Idle {
            cpu: 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64(),
            renewals: a_minute(renewals),
            writes: a_minute(u64::try_from(others.len())?),
            written: counted(&others),
            reconciles: a_minute(reconciles),
        })
    }

    /// Renewals of the Lease since the last call, and all other writes.
    fn written(&mut self) -> anyhow::Result<(u64, Vec<String>)> {
        let (renewals, others): (Vec<_>, Vec<_>) = self.audit.news()?.into_iter().partition(|write| write == RENEWAL);
        Ok((u64::try_from(renewals.len())?, others))
    }
}

/// `2 x patch shops, 1 x create events`.
pub fn counted(writes: &[String]) -> String {
    let mut counts = BTreeMap::<&str, u32>::new();
    for write in writes {
        *counts.entry(write).or_default() += 1;
    }
    counts.into_iter().map(|(write, count)| format!("{count} x {write}")).collect::<Vec<_>>().join(", ")
}
