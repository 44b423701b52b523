//! `install.yaml`: both charts, rendered for those who do not use Helm.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::definitions;
use crate::install::OPERATOR_NAMESPACE;
use crate::kubectl::Kubectl;
use crate::paths::Paths;
use crate::shell;

/// Admission refuses what is not restricted, in the operator's namespace too.
const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shopkeeper-system\n  labels:\n    \
                         pod-security.kubernetes.io/enforce: restricted\n";

/// The variable that tells tests where the file is.
pub const VARIABLE: &str = "SHOP_TEST_INSTALL";

/// Who defines kinds for a moment. The API server keeps it with each, so the next run knows what is left of one that was killed.
const MANAGER: &str = "xtask-for-a-moment";
/// Who writes the status of every definition.
const API_SERVER: &str = "kube-apiserver";

/// Where it is kept for tests.
pub fn file(paths: &Paths) -> PathBuf {
    paths.cache.join("install.yaml")
}

/// The operator's namespace, the definition of the Shop, and the operator for all namespaces.
pub fn install_yaml(paths: &Paths, kubectl: &Kubectl) -> Result<String> {
    let charts = [render(paths, kubectl, "shopkeeper-crds", &[])?, render(paths, kubectl, "shopkeeper", &[])?];
    Ok(format!(
        "# Shopkeeper {}: kubectl apply --server-side -f install.yaml\n{NAMESPACE}{}",
        env!("CARGO_PKG_VERSION"),
        charts.concat()
    ))
}

/// The API server takes every object as it is written: no unknown field, nothing missing. Nothing is changed, and the file is kept.
pub fn try_out(paths: &Paths, kubectl: &Kubectl) -> Result<()> {
    let install = install_yaml(paths, kubectl)?;
    dry_run(kubectl, &install)?;
    fs::write(file(paths), install)?;
    let monitoring =
        ["--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,metrics.alerts.enabled=true"];
    with_monitors(paths, kubectl, || dry_run(kubectl, &render(paths, kubectl, "shopkeeper", &monitoring)?))
}

fn render(paths: &Paths, kubectl: &Kubectl, chart: &str, more: &[&str]) -> Result<String> {
    let folder = paths.source.join("charts").join(chart).to_string_lossy().into_owned();
    let common = ["template", "shopkeeper", &folder, "--namespace", OPERATOR_NAMESPACE, "--skip-tests"];
    // Without a cluster Helm asks for a version of Kubernetes: the oldest that the chart admits.
    let common = [&common[..], &["--kube-version", "1.30.0"]].concat();
    shell::output(&mut kubectl.tool("helm", &[&common[..], more].concat()))
}

fn dry_run(kubectl: &Kubectl, manifests: &str) -> Result<()> {
    let arguments = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    shell::run_with_input(&mut kubectl.command(&arguments), manifests).map(drop)
}

/// Lets the API server know the Prometheus operator's definitions for a moment, unless it knows them anyway. What a run that
/// was killed has left of them is removed too.
fn with_monitors(paths: &Paths, kubectl: &Kubectl, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let files = definitions::monitors(paths);
    let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    let flags: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
    let managers = ["get", "--ignore-not-found", "-o", "jsonpath={.items[*].metadata.managedFields[*].manager}"];
    let managers = shell::output(&mut kubectl.command(&[&managers[..], &flags[..]].concat()))?;
    if managers.split_whitespace().any(|manager| ![MANAGER, API_SERVER].contains(&manager)) {
        return work();
    }
    let manager = format!("--field-manager={MANAGER}");
    let defined = kubectl
        .run(&[&["apply", "--server-side", &manager], &flags[..]].concat())
        .and_then(|()| kubectl.run(&[&["wait", "--for=condition=Established", "--timeout=30s"], &flags[..]].concat()));
    let result = defined.and_then(|()| work());
    kubectl.run(&[&["delete", "--ignore-not-found"], &flags[..]].concat())?;
    result
}
