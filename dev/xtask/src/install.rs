//! What goes into a cluster: its add-ons, the operator, the example Shop; and waiting until each is ready.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::cluster::network;
use crate::definitions;
use crate::diagnosis;
use crate::kubectl::Kubectl;
use crate::paths::Paths;
use crate::shell;
use crate::step::Step;
use crate::target::Target;

/// The example Shop's namespace.
pub const SHOP_NAMESPACE: &str = "shop";
/// The example Shop's name.
pub const SHOP: &str = "demo";
/// The operator's namespace.
pub const OPERATOR_NAMESPACE: &str = "shopkeeper-system";

const SHOP_PATIENCE: Duration = Duration::from_mins(5);
/// A reason ends with the pod's last log lines; the first words are what one looks for.
const LONGEST_REASON: usize = 240;
const NAMESPACES: &str = include_str!("../../cluster/namespaces.yaml");
const COREDNS: &str = include_str!("../../cluster/addons/coredns.yaml");
const TRAEFIK: &str = include_str!("../../cluster/addons/traefik.yaml");
const GATEWAY: &str = include_str!("../../cluster/addons/gateway.yaml");
const LOCAL_PATH: &str = include_str!("../../cluster/addons/local-path.yaml");
const METRICS_SERVER: &str = include_str!("../../cluster/addons/metrics-server.yaml");

/// Names, routes and volumes: what every Kubernetes that people use has.
pub fn add_ons(step: &Step, paths: &Paths, target: &Target) -> Result<()> {
    let kubectl = target.kubectl(paths);
    gateway_api(step, paths, target)?;
    let state = target.state().to_string_lossy();
    let (manifests, deployments) = match target {
        Target::Local(_) => (
            [COREDNS, &published(&traefik()), GATEWAY, &LOCAL_PATH.replace("{{state}}", &state)].join("---\n"),
            &["coredns", "traefik", "local-path"][..],
        ),
        Target::Kind(_) => ([&traefik(), GATEWAY].join("---\n"), &["traefik"][..]),
    };
    kubectl.apply(&manifests)?;
    for deployment in deployments {
        rolled_out(&kubectl, "kube-system", &format!("deployment/{deployment}"))?;
    }
    Ok(())
}

/// The load of pods, for autoscalers. Only tests need it, and the first figures take a while.
pub fn metrics_server(paths: &Paths, target: &Target) -> Result<()> {
    let kubectl = target.kubectl(paths);
    let manifests = match target {
        Target::Local(_) => METRICS_SERVER.to_owned(),
        // Its kubelet's certificate signs itself.
        Target::Kind(_) => {
            let verified = "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
            METRICS_SERVER.replace(verified, "--kubelet-insecure-tls")
        }
    };
    kubectl.apply(&manifests)?;
    rolled_out(&kubectl, "kube-system", "deployment/metrics-server")?;
    // The API server looks again after a while. Until it has, it lets no namespace go.
    kubectl.run(&["wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available", "--timeout=120s"])
}

/// Traefik that writes the node's address into each Ingress, so that a Shop knows where it answers.
fn published(traefik: &str) -> String {
    let endpoint = format!("--providers.kubernetesingress.ingressendpoint.ip={}", network::NODE);
    traefik.replace("--providers.kubernetesingress=true", &endpoint)
}

/// Traefik that serves Gateways too, which it can only where the cluster knows what they are.
fn traefik() -> String {
    let provider = "- --providers.kubernetesgateway=true";
    TRAEFIK.replace("- --ping=true", &format!("{provider}\n        - --ping=true"))
}

/// The kinds of the Gateway API: from its Go module, or where there may be no Go, from its release.
fn gateway_api(step: &Step, paths: &Paths, target: &Target) -> Result<()> {
    let source = match target {
        Target::Local(_) => definitions::gateway_api(step, paths)?.to_string_lossy().into_owned(),
        Target::Kind(_) => format!(
            "https://github.com/kubernetes-sigs/gateway-api/releases/download/{}/standard-install.yaml",
            definitions::GATEWAY_API_VERSION
        ),
    };
    let kubectl = target.kubectl(paths);
    // They are longer than the annotation that a plain apply keeps.
    kubectl.run(&["apply", "--server-side", "-f", &source])?;
    let kinds =
        ["gatewayclasses", "gateways", "httproutes"].map(|kind| format!("crd/{kind}.gateway.networking.k8s.io"));
    let [classes, gateways, routes] = &kinds;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=30s", classes, gateways, routes])
}

/// Lets what runs a changed image run it anew: pods are replaced, and migrations are deleted, which the operator makes again.
/// Nothing is waited for here: a service may need settings that only the new operator gives it.
pub fn restart_users_of(kubectl: &Kubectl, images: &[String]) -> Result<()> {
    for kind in ["job", "deployment", "statefulset"] {
        for workload in kubectl.list(&[kind, "--all-namespaces"])? {
            let containers = workload["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            let uses = |image: &str| {
                images.iter().any(|changed| {
                    changed.strip_suffix(image).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
                })
            };
            if containers.iter().any(|container| container["image"].as_str().is_some_and(uses)) {
                let (name, namespace) = (text(&workload["metadata"]["name"]), text(&workload["metadata"]["namespace"]));
                let workload = format!("{kind}/{name}");
                let again: &[&str] = if kind == "job" { &["delete"] } else { &["rollout", "restart"] };
                kubectl.run(&[again, &[&workload, "--namespace", namespace]].concat())?;
            }
        }
    }
    Ok(())
}

/// Installs or updates the operator from the charts.
pub fn operator(paths: &Paths, target: &Target) -> Result<()> {
    let kubectl = target.kubectl(paths);
    kubectl.apply(NAMESPACES)?;
    let helm = |release: &str, more: &[&str]| {
        let chart = paths.source.join("charts").join(release).to_string_lossy().into_owned();
        let common = ["upgrade", "--install", release, &chart, "--namespace", OPERATOR_NAMESPACE];
        shell::run(&mut kubectl.tool("helm", &[&common[..], more].concat()))
    };
    helm("shopkeeper-crds", &[])?;
    let values = paths.source.join("dev/cluster/values.yaml").to_string_lossy().into_owned();
    let settings: &[&str] = match target {
        Target::Local(_) => &["--values", &values],
        // Tests of the operator run their own in other namespaces.
        Target::Kind(_) => &["--set", "watchNamespaces={shop}"],
    };
    helm("shopkeeper", settings)?;
    for deployment in kubectl.list(&["deployments", "--namespace", OPERATOR_NAMESPACE])? {
        rolled_out(&kubectl, OPERATOR_NAMESPACE, &format!("deployment/{}", text(&deployment["metadata"]["name"])))?;
    }
    Ok(())
}

/// The chart's own test: a pod asks whether the operator is ready, and whether the API server knows Shops.
pub fn helm_test(paths: &Paths, target: &Target) -> Result<()> {
    let kubectl = target.kubectl(paths);
    let arguments = ["test", "shopkeeper", "--namespace", OPERATOR_NAMESPACE, "--timeout", "5m"];
    shell::run(&mut kubectl.tool("helm", &arguments))
}

/// Applies the example Shop and waits until it is ready, saying what it waits for.
pub fn shop(paths: &Paths, target: &Target) -> Result<()> {
    let kubectl = target.kubectl(paths);
    let example = paths.source.join("examples/shop.yaml").to_string_lossy().into_owned();
    kubectl.run(&["apply", "--namespace", SHOP_NAMESPACE, "-f", &example])?;
    let deadline = Instant::now() + SHOP_PATIENCE;
    let mut shown = BTreeSet::new();
    loop {
        let shop = kubectl.json(&["get", "shop", SHOP, "--namespace", SHOP_NAMESPACE])?;
        if is_ready(&shop) {
            return Ok(());
        }
        for reason in unready(&shop) {
            if shown.insert(reason.clone()) {
                println!("    {reason}");
            }
        }
        if Instant::now() > deadline {
            bail!(
                "the Shop was not ready after {} s\n{}\n{}",
                SHOP_PATIENCE.as_secs(),
                unready(&shop).join("\n"),
                diagnosis::namespace(&kubectl, SHOP_NAMESPACE)
            );
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Walks one purchase through the Shop's front door; it prints the order's timeline and its trace.
pub fn purchase(paths: &Paths, target: &Target) -> Result<()> {
    let status =
        Command::new(paths.built("shop-purchase")).envs(target.environment(paths)).stdin(Stdio::null()).status()?;
    if !status.success() {
        bail!(
            "the purchase did not go through ({status})\n{}",
            diagnosis::namespace(&target.kubectl(paths), SHOP_NAMESPACE)
        );
    }
    Ok(())
}

fn rolled_out(kubectl: &Kubectl, namespace: &str, workload: &str) -> Result<()> {
    let result = kubectl.run(&["rollout", "status", workload, "--namespace", namespace, "--timeout=120s"]);
    result.map_err(|error| error.context(diagnosis::namespace(kubectl, namespace)))
}

/// Ready, and said so about the Shop as it is written now.
fn is_ready(shop: &Value) -> bool {
    let current = shop["status"]["observedGeneration"] == shop["metadata"]["generation"];
    current && conditions(shop).any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Why a Shop is not ready: one line a condition. What goes well when it is false is not among them.
fn unready(shop: &Value) -> Vec<String> {
    conditions(shop)
        .filter(|condition| condition["status"] != "True")
        .map(|condition| {
            let line =
                format!("{}: {} {}", text(&condition["type"]), text(&condition["reason"]), text(&condition["message"]));
            line.chars().take(LONGEST_REASON).collect()
        })
        .collect()
}

fn conditions(shop: &Value) -> impl Iterator<Item = &Value> {
    shop["status"]["conditions"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shop(observed: u64, ready: &str) -> Value {
        let conditions = json!([{"type": "Ready", "status": ready, "reason": "Waiting", "message": "for postgres"}]);
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
    }

    #[test]
    fn an_answer_about_an_older_shop_is_not_ready() {
        assert!(is_ready(&shop(2, "True")));
        assert!(!is_ready(&shop(1, "True")));
        assert!(!is_ready(&json!({"metadata": {"generation": 1}})));
    }

    #[test]
    fn what_is_waited_for_is_one_line_a_condition() {
        assert_eq!(unready(&shop(2, "False")), ["Ready: Waiting for postgres"]);
    }
}
