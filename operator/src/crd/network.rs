//! Whom the pods of a Shop may talk to over the network.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What every list of peers must keep to: the API server refuses a policy with another one.
const PEERS_RULE: &str = "self.all(peer, has(peer.ipBlock) != (has(peer.namespaceSelector) || has(peer.podSelector)))";
const PEERS_HELP: &str = "each entry is either an ipBlock, or a namespaceSelector, a podSelector or both; `namespaceSelector: {}` is every namespace";

/// Whom the pods of a Shop may talk to over the network. Without policies of their own pods may talk to everybody.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether there are network policies: nothing in and nothing out, except between the services that call each other, their
    /// stores, DNS, and the peers named here. Clusters whose network does not enforce policies ignore them.
    #[serde(default = "default_enabled")]
    pub enabled: bool,

    /// Who may send the requests of customers. Default: pods labelled `app.kubernetes.io/name: traefik` or `ingress-nginx`, in
    /// every namespace. A controller on the host's network needs an ipBlock with the nodes' addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new(PEERS_RULE).message(PEERS_HELP))]
    pub ingress_from: Option<Vec<NetworkPolicyPeer>>,

    /// Who may read metrics. Default: pods labelled `app.kubernetes.io/name: prometheus`, in every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new(PEERS_RULE).message(PEERS_HELP))]
    pub metrics_from: Option<Vec<NetworkPolicyPeer>>,

    /// Whom the services may reach besides, on every port: a mail server on an unusual port, for example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(PEERS_RULE).message(PEERS_HELP))]
    pub egress_to: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: default_enabled(), ingress_from: None, metrics_from: None, egress_to: Vec::new() }
    }
}

fn default_enabled() -> bool {
    true
}
