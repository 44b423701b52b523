//! The rights that the chart gives the operator, for operators that run with them and no others.

use anyhow::Context as _;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule};
use kube::api::PostParams;
use kube::{Api, Client, Config};
use serde_json::json;

const TEMPLATE: &str = include_str!("../../../charts/shopkeeper/templates/rbac.yaml");
/// The user who has them.
const USER: &str = "shopkeeper-operator";

/// The rules for the namespaces that are looked after: the first document, without the lines that only Helm understands.
pub fn in_namespaces() -> anyhow::Result<Vec<PolicyRule>> {
    rules(0)
}

/// The rules for what belongs to no namespace.
fn in_the_cluster() -> anyhow::Result<Vec<PolicyRule>> {
    rules(1)
}

fn rules(document: usize) -> anyhow::Result<Vec<PolicyRule>> {
    let document = TEMPLATE.split("\n---\n").nth(document).context("the chart's template has fewer documents")?;
    let plain: Vec<&str> = document.lines().filter(|line| !line.contains("{{")).collect();
    let role: ClusterRole = serde_saphyr::from_str(&plain.join("\n"))?;
    role.rules.context("a role has rules")
}

/// Gives them to a user in all namespaces.
pub(crate) async fn grant(client: &Client) -> anyhow::Result<()> {
    let rules = [in_namespaces()?, in_the_cluster()?].concat();
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": USER}, "rules": rules}))?;
    Api::all(client.clone()).create(&PostParams::default(), &role).await?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// How an operator with these rights reaches the API server.
#[must_use]
pub fn of_operator(mut administrator: Config) -> Config {
    administrator.auth_info.impersonate = Some(USER.to_owned());
    administrator
}
