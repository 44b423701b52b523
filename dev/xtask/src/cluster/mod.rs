//! A real one-node Kubernetes without Docker: upstream's components in a network namespace of their own.

mod components;
mod config;
pub mod network;
mod pki;
mod processes;
mod remains;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use self::components::Component;
use self::processes::Processes;
use crate::shell;

/// Everything that the running cluster keeps; taking the cluster down deletes it.
const STATE: &str = "/var/lib/shopkeeper";
const API_PATIENCE: Duration = Duration::from_mins(1);

/// The local cluster.
pub struct Cluster {
    state: PathBuf,
    bin: PathBuf,
}

impl Cluster {
    /// The cluster of this machine, running or not; `bin` holds its programs.
    pub fn new(bin: &Path) -> Self {
        Self { state: PathBuf::from(STATE), bin: bin.to_path_buf() }
    }

    /// Where its state is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    /// Every component with whether it runs.
    pub fn processes(&self) -> Vec<(&'static str, bool)> {
        let processes = Processes { state: &self.state };
        self.components().iter().map(|component| (component.name, processes.is_alive(component.name))).collect()
    }

    /// Whether all of it runs.
    pub fn is_up(&self) -> bool {
        self.processes().iter().all(|(_, alive)| *alive)
    }

    /// Starts what is not running, and waits until the API server answers. Says whether anything had to be started.
    pub fn start(&self) -> Result<bool> {
        remains::clear_after_reboot(&self.state)?;
        remains::remember_settings(&self.state)?;
        config::write(&self.state)?;
        pki::make(&self.state)?;
        network::connect()?;
        let control_plane = self.start_all(&components::control_plane(&self.bin, &self.state))?;
        self.wait_for_api()?;
        let node = self.start_all(&components::node(&self.bin, &self.state))?;
        if control_plane || node {
            self.wait_for_truth()?;
        }
        Ok(control_plane || node)
    }

    /// Stops everything that lives in the cluster, and removes every trace of it.
    pub fn stop(&self) -> Result<()> {
        let processes = Processes { state: &self.state };
        // The kubelet first, or it starts again what is stopped; containerd after the pods, it knows them.
        processes.kill(&["kubelet", "proxy"]);
        processes::kill(&self.pod_processes());
        processes.kill(&["containerd", "scheduler", "controller-manager", "apiserver", "etcd"]);
        remains::clear(&self.state)
    }

    /// Where containerd listens.
    pub fn containerd_socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }

    fn components(&self) -> Vec<Component> {
        let mut all = components::control_plane(&self.bin, &self.state);
        all.extend(components::node(&self.bin, &self.state));
        all
    }

    fn start_all(&self, components: &[Component]) -> Result<bool> {
        let processes = Processes { state: &self.state };
        let mut started = false;
        for Component { name, program, arguments } in components {
            started |= processes.start(name, program, arguments)?;
        }
        Ok(started)
    }

    fn wait_for_api(&self) -> Result<()> {
        let deadline = Instant::now() + API_PATIENCE;
        let kubeconfig = self.kubeconfig();
        while !shell::succeeds(
            Command::new(self.bin.join("kubectl"))
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args(["get", "--raw", "/readyz"]),
        ) {
            let processes = Processes { state: &self.state };
            if let Some(dead) = ["etcd", "apiserver", "containerd"].into_iter().find(|name| !processes.is_alive(name)) {
                bail!("{dead} ended:\n{}", processes.last_words(dead));
            }
            if Instant::now() > deadline {
                bail!("the API server does not answer; its last words:\n{}", processes.last_words("apiserver"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// After a restart the API server still tells what was true before. Waits until every container that it calls running
    /// is one that containerd runs.
    fn wait_for_truth(&self) -> Result<()> {
        let ids = "jsonpath={range .items[*].status.containerStatuses[?(@.state.running)]}{.containerID}{'\\n'}{end}";
        let deadline = Instant::now() + API_PATIENCE;
        loop {
            let mut get = Command::new(self.bin.join("kubectl"));
            get.arg("--kubeconfig").arg(self.kubeconfig()).args(["get", "pods", "--all-namespaces", "-o", ids]);
            let (told, tasks) = (shell::output(&mut get)?, self.tasks());
            let running: Vec<&str> = tasks.iter().map(|(id, _)| id.as_str()).collect();
            if told.split_whitespace().all(|id| running.contains(&id.trim_start_matches("containerd://"))) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "the kubelet does not report on the pods; its last words:\n{}",
                    Processes { state: &self.state }.last_words("kubelet")
                );
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// The first process of every container; its whole pid namespace ends with it.
    fn pod_processes(&self) -> Vec<u32> {
        self.tasks().into_iter().map(|(_, process)| process).collect()
    }

    /// The containers that run, each with its first process.
    fn tasks(&self) -> Vec<(String, u32)> {
        let listed = shell::output(
            Command::new("ctr").arg("-a").arg(self.containerd_socket()).args(["-n", "k8s.io", "tasks", "ls"]),
        );
        let table = listed.unwrap_or_default();
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.get(2) == Some(&"RUNNING"))
            .filter_map(|row| Some((row[0].to_owned(), row[1].parse().ok()?)))
            .collect()
    }
}
