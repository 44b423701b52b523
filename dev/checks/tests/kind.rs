//! `kind-config.yaml` against kind's configuration schema, `kind.x-k8s.io/v1alpha4`
//! (<https://kind.sigs.k8s.io/docs/user/configuration/>): a field kind does not know is an error here as it is there.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(dead_code, reason = "the fields are the schema; most are only there to be accepted")]
struct Cluster {
    kind: String,
    api_version: String,
    name: Option<String>,
    #[serde(default)]
    nodes: Vec<Node>,
    networking: Option<Networking>,
    feature_gates: Option<BTreeMap<String, bool>>,
    runtime_config: Option<BTreeMap<String, String>>,
    kubeadm_config_patches: Option<Vec<String>>,
    containerd_config_patches: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(dead_code, reason = "see Cluster")]
struct Node {
    role: Role,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    extra_mounts: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    extra_port_mappings: Vec<PortMapping>,
    kubeadm_config_patches: Option<Vec<String>>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Role {
    ControlPlane,
    Worker,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(dead_code, reason = "see Cluster")]
struct PortMapping {
    container_port: u16,
    host_port: u16,
    listen_address: Option<std::net::IpAddr>,
    protocol: Option<Protocol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(dead_code, reason = "see Cluster")]
struct Networking {
    ip_family: Option<String>,
    api_server_address: Option<std::net::IpAddr>,
    api_server_port: Option<u16>,
    pod_subnet: Option<String>,
    service_subnet: Option<String>,
    #[serde(rename = "disableDefaultCNI")]
    disable_default_cni: Option<bool>,
    kube_proxy_mode: Option<String>,
}

#[test]
fn kind_accepts_our_cluster_and_it_lets_http_in() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../kind-config.yaml")).unwrap();
    let cluster: Cluster = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((cluster.kind.as_str(), cluster.api_version.as_str()), ("Cluster", "kind.x-k8s.io/v1alpha4"));
    assert!(cluster.nodes.iter().any(|node| node.role == Role::ControlPlane), "a cluster needs a control plane");
    let ports: Vec<_> =
        cluster.nodes.iter().flat_map(|node| &node.extra_port_mappings).map(|port| port.host_port).collect();
    assert!(ports.contains(&80), "the ingress cannot be reached from the host");
}
