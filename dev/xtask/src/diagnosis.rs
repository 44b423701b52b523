//! What a person needs to see when a cluster does not do what it should: pods with their reasons, and warnings.

use std::fmt::Write;

use serde_json::Value;

use crate::kubectl::Kubectl;

/// Warnings shown; older ones rarely explain anything.
const WARNINGS: usize = 8;

/// The pods of a namespace that are not ready, each with why, and the latest warnings.
pub fn namespace(kubectl: &Kubectl, namespace: &str) -> String {
    let pods = kubectl.list(&["pods", "--namespace", namespace]).unwrap_or_default();
    let mut lines: Vec<String> = pods.iter().flat_map(unready).collect();
    let warnings = ["events", "--namespace", namespace, "--field-selector", "type=Warning", "--sort-by=.lastTimestamp"];
    let warnings = kubectl.list(&warnings).unwrap_or_default();
    for warning in &warnings[warnings.len().saturating_sub(WARNINGS)..] {
        let about = &warning["involvedObject"];
        lines.push(format!("  {} {}: {}", text(&about["kind"]), text(&about["name"]), text(&warning["message"])));
    }
    if lines.is_empty() {
        return format!("(every pod in {namespace} is ready, and there are no warnings)");
    }
    format!(
        "in namespace {namespace}:\n{}\nlook closer: eval \"$(cargo xtask env)\"; kubectl --namespace {namespace} describe pods",
        lines.join("\n")
    )
}

fn unready(pod: &Value) -> Vec<String> {
    let name = text(&pod["metadata"]["name"]);
    if pod["status"]["phase"] == "Succeeded" {
        return Vec::new();
    }
    let containers = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
    let mut reasons: Vec<String> =
        containers.filter(|container| container["ready"] != true).map(|container| reason(name, container)).collect();
    if pod["status"]["containerStatuses"].is_null() {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        reasons.extend(
            conditions
                .filter(|condition| condition["status"] == "False")
                .map(|c| format!("  pod {name}: {}", text(&c["message"]))),
        );
    }
    reasons
}

fn reason(pod: &str, container: &Value) -> String {
    let state = &container["state"];
    let now = if state["waiting"].is_object() { &state["waiting"] } else { &state["terminated"] };
    let last = &container["lastState"]["terminated"];
    let mut line = format!(
        "  pod {pod}, container {}: {} {}",
        text(&container["name"]),
        text(&now["reason"]),
        text(&now["message"])
    );
    if state["running"].is_object() {
        line.push_str("runs but is not ready");
    }
    if last.is_object() {
        let _ = write!(line, " (before: {}, exit code {})", text(&last["reason"]), last["exitCode"]);
    }
    line
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
