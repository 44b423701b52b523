//! The node's own network namespace and the one cable between it and the machine.
//!
//! There is no route from it to the outside: nothing that the cluster does can leave the machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// The network namespace that the whole cluster lives in.
pub const NAMESPACE: &str = "shopkeeper";
/// The node's address, as seen from the machine.
pub const NODE: &str = "198.18.0.2";

const NAMESPACES: &str = "/run/netns";
const HOST: &str = "198.18.0.1/30";
const HOST_LINK: &str = "sk-host";
const NODE_LINK: &str = "sk-node";
const PODS: &str = "10.244.0.0/24";
const SERVICES: &str = "10.96.0.0/16";

/// Makes whatever of the namespace, the cable and the routes is missing.
pub fn connect() -> Result<()> {
    if !Path::new(NAMESPACES).join(NAMESPACE).exists() {
        ip(&format!("netns add {NAMESPACE}"))?;
    }
    if !Path::new("/sys/class/net").join(HOST_LINK).exists() {
        ip(&format!("link add {HOST_LINK} type veth peer name {NODE_LINK} netns {NAMESPACE}"))?;
    }
    ip(&format!("addr replace {HOST} dev {HOST_LINK}"))?;
    ip(&format!("link set {HOST_LINK} up"))?;
    ip(&format!("-n {NAMESPACE} link set lo up"))?;
    ip(&format!("-n {NAMESPACE} addr replace {NODE}/30 dev {NODE_LINK}"))?;
    ip(&format!("-n {NAMESPACE} link set {NODE_LINK} up"))?;
    // A default route must exist for the components to find their own address; it leads nowhere.
    ip(&format!("-n {NAMESPACE} route replace default dev {NODE_LINK}"))?;
    shell::run(enter("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
    // Tests on the machine talk to pods and Services directly.
    for range in [PODS, SERVICES] {
        ip(&format!("route replace {range} via {NODE} dev {HOST_LINK}"))?;
    }
    Ok(())
}

/// Removes the cable and the namespace, and with them every route and rule. Nothing may live in the namespace any more.
pub fn disconnect() -> Result<()> {
    if Path::new("/sys/class/net").join(HOST_LINK).exists() {
        ip(&format!("link del {HOST_LINK}"))?;
    }
    if Path::new(NAMESPACES).join(NAMESPACE).exists() {
        ip(&format!("netns del {NAMESPACE}"))?;
    }
    // The first namespace of a machine makes its folder a mount point; the last takes that along. Others keep it.
    if fs::read_dir(NAMESPACES).is_ok_and(|mut names| names.next().is_none()) {
        shell::succeeds(Command::new("umount").arg(NAMESPACES));
    }
    Ok(())
}

/// Processes that still live in the namespace.
pub fn inhabitants() -> Vec<u32> {
    let listed = shell::output(Command::new("ip").args(["netns", "pids", NAMESPACE])).unwrap_or_default();
    listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// A command that runs inside the namespace. (`ip netns exec` would hide /sys/fs/cgroup.)
pub fn enter(program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={NAMESPACES}/{NAMESPACE}")).arg(program);
    command
}

fn ip(arguments: &str) -> Result<()> {
    shell::run(Command::new("ip").args(arguments.split(' ')))
}
