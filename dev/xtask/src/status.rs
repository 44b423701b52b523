//! Looking at what runs.

use std::process::Command;

use anyhow::{Result, bail};

use crate::diagnosis;
use crate::install::{OPERATOR_NAMESPACE, SHOP, SHOP_NAMESPACE};
use crate::paths::Paths;
use crate::target::Target;

/// Prints the cluster's processes, the Shop and its pods.
pub fn status(paths: &Paths, target: &Target) -> Result<()> {
    match target {
        Target::Local(cluster) => {
            for (name, alive) in cluster.processes() {
                println!("{name:<20} {}", if alive { "running" } else { "not running" });
            }
        }
        Target::Kind(_) => println!("kind                 {}", if target.is_up() { "running" } else { "not running" }),
    }
    if !target.is_up() {
        println!("\nThe cluster is not complete: `cargo xtask up` starts what is missing.");
        return Ok(());
    }
    let kubectl = target.kubectl(paths);
    if kubectl.run(&["get", "crd", "shops.shopkeeper.dev"]).is_err() {
        println!("\nThe operator is not installed: `cargo xtask up` does it.");
        return Ok(());
    }
    println!();
    show(kubectl.command(&["get", "pods", "--namespace", OPERATOR_NAMESPACE]))?;
    println!();
    show(kubectl.command(&["get", "shops,pods,persistentvolumeclaims", "--namespace", SHOP_NAMESPACE]))?;
    println!("\n{}\n\n{}", diagnosis::namespace(&kubectl, SHOP_NAMESPACE), target.shop_url());
    Ok(())
}

/// Shows what the pods of one component write.
pub fn logs(paths: &Paths, target: &Target, component: &str, follow: bool) -> Result<()> {
    let kubectl = target.kubectl(paths);
    let component_label = format!("app.kubernetes.io/component={component}");
    let (namespace, selector) = match component {
        "operator" => (OPERATOR_NAMESPACE, component_label),
        _ => (SHOP_NAMESPACE, format!("app.kubernetes.io/instance={SHOP},{component_label}")),
    };
    if kubectl.list(&["pods", "--namespace", namespace, "--selector", &selector])?.is_empty() {
        bail!("no pod of {component} in namespace {namespace}; `cargo xtask status` lists what there is");
    }
    let mut command =
        kubectl.command(&["logs", "--namespace", namespace, "--selector", &selector, "--prefix", "--tail=-1"]);
    if follow {
        command.arg("--follow");
    }
    show(command)
}

/// Prints shell exports.
pub fn print_environment(paths: &Paths, target: &Target) {
    for (name, value) in target.environment(paths) {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
}

fn show(mut command: Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("kubectl failed ({status})");
    }
    Ok(())
}
