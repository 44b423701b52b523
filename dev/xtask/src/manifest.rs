//! `install.yaml`: both charts, rendered for those who do not use Helm.

use std::process::Command;

use anyhow::Result;

use crate::install::OPERATOR_NAMESPACE;
use crate::kubectl::Kubectl;
use crate::paths::Paths;
use crate::shell;

/// Admission refuses what is not restricted, in the operator's namespace too.
const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shopkeeper-system\n  labels:\n    \
                         pod-security.kubernetes.io/enforce: restricted\n";

/// Where the Prometheus operator publishes its definitions, and those of the chart's objects.
const MONITORING: &str = "github.com/prometheus-operator/prometheus-operator@v0.83.0";
const MONITORS: [&str; 3] = ["servicemonitors", "podmonitors", "prometheusrules"];

/// The operator's namespace, the definition of the Shop, and the operator for all namespaces.
pub fn install_yaml(paths: &Paths, kubectl: &Kubectl) -> Result<String> {
    let charts = [render(paths, kubectl, "shopkeeper-crds", &[])?, render(paths, kubectl, "shopkeeper", &[])?];
    Ok(format!(
        "# Shopkeeper {}: kubectl apply --server-side -f install.yaml\n{NAMESPACE}{}",
        env!("CARGO_PKG_VERSION"),
        charts.concat()
    ))
}

/// The API server takes every object as it is written: no unknown field, nothing missing. Nothing is changed.
pub fn try_out(paths: &Paths, kubectl: &Kubectl) -> Result<()> {
    dry_run(kubectl, &install_yaml(paths, kubectl)?)?;
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

/// Lets the API server know the Prometheus operator's definitions for a moment, unless it knows them anyway.
fn with_monitors(paths: &Paths, kubectl: &Kubectl, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let known = shell::succeeds(&mut kubectl.command(&["get", "crd", "podmonitors.monitoring.coreos.com"]));
    if known {
        return work();
    }
    let module =
        shell::output(Command::new("go").args(["mod", "download", "-json", MONITORING]).current_dir(&paths.cache))?;
    let module: serde_json::Value = serde_json::from_str(&module)?;
    let folder = module["Dir"].as_str().unwrap_or_default();
    let files =
        MONITORS.map(|kind| format!("{folder}/example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"));
    let flags: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
    let defined = kubectl
        .run(&[&["apply", "--server-side"], &flags[..]].concat())
        .and_then(|()| kubectl.run(&[&["wait", "--for=condition=Established", "--timeout=30s"], &flags[..]].concat()));
    let result = defined.and_then(|()| work());
    kubectl.run(&[&["delete", "--ignore-not-found"], &flags[..]].concat())?;
    result
}
