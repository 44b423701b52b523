//! Configuration files of the components, from the templates in `dev/cluster/config`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const CONTAINERD: &str = include_str!("../../../cluster/config/containerd.toml");
const CNI: &str = include_str!("../../../cluster/config/cni.conflist");
const KUBELET: &str = include_str!("../../../cluster/config/kubelet.yaml");
const PROXY: &str = include_str!("../../../cluster/config/proxy.yaml");
const KUBECONFIG: &str = include_str!("../../../cluster/config/kubeconfig.yaml");

/// Writes every component's configuration.
pub fn write(state: &Path) -> Result<()> {
    for folder in ["log", "cni", "containerd", "kubelet"] {
        fs::create_dir_all(state.join(folder))?;
    }
    // ptp, not bridge: every packet of a pod is routed, so that Service NAT works between pods of the one node.
    let files = [
        ("containerd.toml", CONTAINERD),
        ("cni/10-ptp.conflist", CNI),
        ("kubelet.yaml", KUBELET),
        ("proxy.yaml", PROXY),
    ];
    files.iter().try_for_each(|(file, template)| write_changed(&state.join(file), &fill(template, state)))
}

/// Leaves an equal file alone: kube-proxy ends when its configuration is written, whatever is written.
fn write_changed(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|known| known == text) {
        return Ok(());
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The kubeconfig of one component.
pub fn kubeconfig(state: &Path, user: &str) -> String {
    fill(KUBECONFIG, state).replace("{{user}}", user)
}

fn fill(template: &str, state: &Path) -> String {
    template.replace("{{state}}", &state.to_string_lossy())
}
