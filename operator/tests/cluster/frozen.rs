//! A pod that stands still: its processes are stopped, and the kernel goes on taking connections for them.

use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use shopkeeper_testing::Scene;

use crate::market::Market;

/// So many checkouts, of which so many may be refused: those that the pod was in the middle of.
const CHECKOUTS: usize = 1000;
const REFUSED: usize = 1;
/// Long before a token of a quarter of an hour is over, and within the limit of an account.
const ROUNDS_OF_A_LOG_IN: usize = 100;

/// One of three order pods freezes while people buy as fast as they can.
pub async fn one_of_three_order_pods_freezes(scene: &Scene, market: &mut Market) {
    scene.edit(&json!({"services": {"order": {"replicas": 3}}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
    let pod = scene.pods("order").await.pop_first().expect("a pod");
    let pod: Pod = scene.api().get(&pod).await.expect("the pod");
    let frozen = Frozen::all_of(&pod);

    let (before, mut refused) = (market.bought(), Vec::new());
    for round in 0_usize.. {
        if round.is_multiple_of(ROUNDS_OF_A_LOG_IN) {
            market.log_in().await;
        }
        refused.extend(market.everybody_buys_at_the_first_try().await);
        let bought = market.bought() - before;
        assert!(refused.len() <= REFUSED, "of {bought} checkouts:\n{}", refused.join("\n"));
        if bought >= CHECKOUTS {
            break;
        }
    }
    frozen.stood_still();
    drop(frozen);
    scene.edit(&json!({"services": {"order": {"replicas": 1}}})).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
}

/// Processes that are stopped until this ends, or until somebody kills them.
pub struct Frozen(Vec<String>);

impl Frozen {
    /// Stops everything that runs in a pod.
    pub fn all_of(pod: &Pod) -> Self {
        let uid = pod.uid().expect("a uid");
        let processes = processes_of(&uid);
        assert!(!processes.is_empty(), "{} runs on another machine", pod.name_any());
        signal("STOP", &processes);
        Self(processes)
    }

    /// Fails when it was not allowed to stop them. Who is gone by now was killed, by somebody whom it did not answer.
    pub fn stood_still(&self) {
        for process in &self.0 {
            // proc_pid_stat(5): the state follows the name, which is in parentheses.
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            assert!(matches!(state, None | Some('T' | 'Z' | 'X')), "process {process} went on: {stat}");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

/// A kubelet names the control groups of a pod after its uid, with `_` for `-` where systemd makes them.
fn processes_of(uid: &str) -> Vec<String> {
    let names = [uid.to_owned(), uid.replace('-', "_")];
    let is_of_pod = |folder: &PathBuf| {
        let groups = std::fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        names.iter().any(|name| groups.contains(name))
    };
    let all = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| Some(entry.ok()?.path()));
    let theirs = all.filter(is_of_pod).filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()));
    theirs.filter(|name| name.parse::<u32>().is_ok()).collect()
}

/// A process that is gone by now is nobody's loss.
fn signal(name: &str, processes: &[String]) {
    Command::new("kill").arg("-s").arg(name).args(processes).status().expect("kill is there");
}
