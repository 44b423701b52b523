//! What a cluster leaves on the machine beside its processes, and how each of it goes away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{network, processes};
use crate::shell;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Settings of the whole machine that a kubelet changes.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Writes the machine's settings down, once, before a kubelet changes them.
pub fn remember_settings(state: &Path) -> Result<()> {
    let folder = state.join("settings");
    for setting in SETTINGS {
        let (from, to) = (Path::new("/proc/sys").join(setting), folder.join(setting));
        if let (false, Ok(value)) = (to.exists(), fs::read_to_string(from)) {
            fs::create_dir_all(to.parent().context("a setting has a folder")?)?;
            fs::write(to, value)?;
        }
    }
    Ok(())
}

/// After a restart of the machine, forgets what only lived in the old one's memory: containers and pod addresses.
pub fn clear_after_reboot(state: &Path) -> Result<()> {
    fs::create_dir_all(state).with_context(|| format!("cannot write {}", state.display()))?;
    let boot = fs::read_to_string(BOOT_ID)?;
    let record = state.join("boot_id");
    if fs::read_to_string(&record).is_ok_and(|known| known != boot) {
        for folder in ["containerd/state", "ipam"] {
            remove(&state.join(folder))?;
        }
    }
    fs::write(record, boot)?;
    Ok(())
}

/// Removes everything that is left once the cluster's processes have been stopped.
pub fn clear(state: &Path) -> Result<()> {
    let socket = state.join("containerd.sock").to_string_lossy().into_owned();
    processes::kill(&processes::find(&["containerd-shim", &socket]));
    // Whatever still lives in the namespace would keep it, and its end of the cable, alive.
    processes::kill(&network::inhabitants());
    remove_shim_sockets(state);
    for mount in mounts_below(state) {
        shell::run(Command::new("umount").arg("--lazy").arg(&mount))?;
    }
    network::disconnect()?;
    restore_settings(state);
    remove_pod_cgroups();
    remove_links_into(state);
    remove_network_notes(state);
    remove_device_plugin_socket();
    remove(state)
}

/// A killed shim leaves its socket in a folder that it shares with any other containerd; its bundle knows which.
fn remove_shim_sockets(state: &Path) {
    let Ok(bundles) = fs::read_dir(state.join("containerd/state/io.containerd.runtime.v2.task/k8s.io")) else { return };
    for bundle in bundles.flatten() {
        if let Ok(address) = fs::read_to_string(bundle.path().join("address")) {
            let _ = fs::remove_file(address.trim_start_matches("unix://"));
        }
    }
}

/// Mount points below a folder, innermost first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    below.reverse();
    below
}

fn restore_settings(state: &Path) {
    for setting in SETTINGS {
        if let Ok(value) = fs::read_to_string(state.join("settings").join(setting)) {
            let _ = fs::write(Path::new("/proc/sys").join(setting), value);
        }
    }
}

/// The kernel lets only empty groups go, so those of another kubelet on this machine stay.
fn remove_pod_cgroups() {
    let Ok(controllers) = fs::read_dir("/sys/fs/cgroup") else { return };
    let roots = controllers.flatten().map(|entry| entry.path().join("kubepods"));
    for root in roots.chain([PathBuf::from("/sys/fs/cgroup/kubepods")]) {
        shell::succeeds(Command::new("find").arg(root).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]));
    }
}

/// The kubelet links every container's log from a folder that it shares with any other kubelet.
fn remove_links_into(state: &Path) {
    let Ok(entries) = fs::read_dir("/var/log/containers") else { return };
    for link in entries.flatten().map(|entry| entry.path()) {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(state)) {
            let _ = fs::remove_file(link);
        }
    }
    let _ = fs::remove_dir("/var/log/containers");
}

/// Network plugins note what they answered, under the id of the pod's sandbox, in a folder that they share.
fn remove_network_notes(state: &Path) {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let sandboxes = names(&state.join("containerd/root/io.containerd.grpc.v1.cri/sandboxes"));
    let results = Path::new("/var/lib/cni/results");
    for note in names(results) {
        if note.starts_with("shopkeeper-") || sandboxes.iter().any(|sandbox| note.contains(sandbox)) {
            let _ = fs::remove_file(results.join(note));
        }
    }
    remove_empty(results);
}

/// The one socket that a kubelet puts outside its own folder.
fn remove_device_plugin_socket() {
    let folder = Path::new("/var/lib/kubelet/device-plugins");
    if processes::find(&["kubelet"]).is_empty() {
        let _ = fs::remove_file(folder.join("kubelet.sock"));
        remove_empty(folder);
    }
}

/// Removes a folder and the one around it, when nothing else is in them.
fn remove_empty(folder: &Path) {
    for folder in folder.ancestors().take(2) {
        let _ = fs::remove_dir(folder);
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
