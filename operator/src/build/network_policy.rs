//! Network policies: nobody reaches a pod and no pod reaches anybody, except along the edges of the architecture.
//!
//! One policy a component, made from the same catalog as everything else, and one for whatever else carries the Shop's
//! labels. Where the cluster enforces none of them they change nothing.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::secret::passwords_key;
use super::{component_name, meta, strings};
use crate::catalog::{REDIS, SERVICES, Service, TRACES, store_port};
use crate::crd::StoreMode;
use crate::names::{self, COMPONENT_LABEL, SHOP_COMPONENT};
use crate::stores::Store;
use crate::validate::{Policy, Traces, ValidShop};

const HTTP: i32 = 8080;
const ADMIN: i32 = 8081;
const GRPC: i32 = 9090;
const OTLP: i32 = 4317;
const DNS: i32 = 53;
/// Submission, submission over TLS, and relay: where mail servers listen.
const MAIL: [i32; 3] = [587, 465, 25];
/// Where NodeLocal DNSCache answers, which is no pod.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

pub(super) fn build(shop: &ValidShop) -> Vec<NetworkPolicy> {
    let Some(policy) = &shop.policy else { return Vec::new() };
    let services = SERVICES.iter().map(|service| of_service(shop, policy, service));
    let embedded = shop.embedded_stores();
    let stores = embedded.iter().map(|store| of_store(shop, store));
    let traces = has_traces(shop).then(|| of_traces(shop));
    let keeper = tells_redis(shop).then(|| of_redis_users(shop));
    [deny_all(shop)].into_iter().chain(services).chain(stores).chain(traces).chain(keeper).collect()
}

/// Every pod with the Shop's labels, also one that no other policy knows.
fn deny_all(shop: &ValidShop) -> NetworkPolicy {
    let mut everyone = names::selector(&shop.name, SHOP_COMPONENT);
    everyone.remove(COMPONENT_LABEL);
    let everyone = LabelSelector { match_labels: Some(everyone), ..LabelSelector::default() };
    network_policy(shop, SHOP_COMPONENT, shop.name.clone(), everyone, Vec::new(), Vec::new())
}

fn of_service(shop: &ValidShop, policy: &Policy, service: &Service) -> NetworkPolicy {
    let callers = SERVICES.iter().filter(|caller| caller.peers.iter().any(|peer| peer.service == service.name));
    let callers: Vec<NetworkPolicyPeer> = callers.map(|caller| component(shop, caller.name)).collect();
    // The documents that docs merges are on the port of probes and metrics.
    let readers =
        policy.metrics_from.iter().cloned().chain((!service.routes.is_empty()).then(|| component(shop, "docs")));
    let ingress = vec![
        (!service.routes.is_empty()).then(|| from(policy.ingress_from.clone(), HTTP)),
        (!callers.is_empty()).then(|| from(callers, GRPC)),
        Some(from(readers.collect(), ADMIN)),
    ];
    let selector = with_migration(shop, service);
    let egress = service_egress(shop, policy, service);
    let name = component_name(shop, service.name);
    network_policy(shop, service.name, name, selector, ingress.into_iter().flatten().collect(), egress)
}

fn service_egress(shop: &ValidShop, policy: &Policy, service: &Service) -> Vec<NetworkPolicyEgressRule> {
    let mut egress = vec![dns()];
    egress.extend(shop.stores_of(service).map(|(name, store)| to_store(shop, name, store)));
    egress.extend(service.peers.iter().map(|peer| to(vec![component(shop, peer.service)], &[GRPC])));
    if service.name == "docs" {
        let documented = SERVICES.iter().filter(|other| !other.routes.is_empty() && other.name != service.name);
        egress.push(to(documented.map(|other| component(shop, other.name)).collect(), &[ADMIN]));
    }
    match &shop.traces {
        Traces::Embedded { .. } => egress.push(to(vec![component(shop, TRACES)], &[OTLP])),
        // Policies know no host names, so a collector is known by its port.
        Traces::Otlp { endpoint } => egress.extend(port_of(endpoint).map(|port| to(Vec::new(), &[port]))),
        Traces::Disabled => {}
    }
    if service.name == "user" && shop.users.mail.smtp.is_some() {
        egress.push(to(Vec::new(), &MAIL));
    }
    if !policy.egress_to.is_empty() {
        egress.push(NetworkPolicyEgressRule { to: Some(policy.egress_to.clone()), ports: None });
    }
    egress
}

fn to_store(shop: &ValidShop, name: &str, store: &Store) -> NetworkPolicyEgressRule {
    let cluster = component_name(shop, name);
    let pods = match store {
        Store::Embedded(_) => vec![component(shop, name)],
        Store::CloudNativePg { .. } => vec![pods("cnpg.io/cluster", cluster)],
        Store::ClusterOperator { .. } => vec![pods("app.kubernetes.io/name", cluster)],
        // Policies know no host names, so a store of somebody else is known by its port.
        Store::External(_) => Vec::new(),
    };
    let ports = match store {
        Store::External(Ok(login)) => login.ports(store_port(name)),
        _ => vec![store_port(name)],
    };
    to(pods, &ports)
}

fn pods(label: &str, value: String) -> NetworkPolicyPeer {
    let labelled = LabelSelector { match_labels: Some([(label.to_owned(), value)].into()), ..LabelSelector::default() };
    NetworkPolicyPeer { pod_selector: Some(labelled), ..NetworkPolicyPeer::default() }
}

/// A store answers the services that use it, and asks nobody.
fn of_store(shop: &ValidShop, store: &str) -> NetworkPolicy {
    let users = SERVICES.iter().filter(|service| service.uses(store));
    let keeper = (store == REDIS && tells_redis(shop)).then(|| component(shop, names::REDIS_USERS));
    let peers = users.flat_map(|service| with_migration_peers(shop, service)).chain(keeper);
    let ingress = vec![from(peers.collect(), store_port(store))];
    network_policy(shop, store, component_name(shop, store), meta::selector(shop, store), ingress, Vec::new())
}

/// The Job that tells Redis other passwords, while there is one.
fn of_redis_users(shop: &ValidShop) -> NetworkPolicy {
    let (name, selector) = (component_name(shop, names::REDIS_USERS), meta::selector(shop, names::REDIS_USERS));
    let egress = vec![dns(), to(vec![component(shop, REDIS)], &[store_port(REDIS)])];
    network_policy(shop, REDIS, name, selector, Vec::new(), egress)
}

fn tells_redis(shop: &ValidShop) -> bool {
    shop.redis.mode() == StoreMode::Embedded && passwords_key(shop).is_some()
}

fn of_traces(shop: &ValidShop) -> NetworkPolicy {
    let senders = SERVICES.iter().flat_map(|service| with_migration_peers(shop, service));
    let ingress = vec![from(senders.collect(), OTLP)];
    network_policy(shop, TRACES, component_name(shop, TRACES), meta::selector(shop, TRACES), ingress, Vec::new())
}

fn has_traces(shop: &ValidShop) -> bool {
    matches!(shop.traces, Traces::Embedded { .. })
}

/// The pods of a service, and those of its migration, which need the same stores.
fn with_migration(shop: &ValidShop, service: &Service) -> LabelSelector {
    if !shop.has_migration(service) {
        return meta::selector(shop, service.name);
    }
    let mut labels = names::selector(&shop.name, service.name);
    labels.remove(COMPONENT_LABEL);
    let either = LabelSelectorRequirement {
        key: COMPONENT_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![service.name.to_owned(), names::migration(service.name)]),
    };
    LabelSelector { match_labels: Some(labels), match_expressions: Some(vec![either]) }
}

fn with_migration_peers(shop: &ValidShop, service: &Service) -> Vec<NetworkPolicyPeer> {
    vec![NetworkPolicyPeer { pod_selector: Some(with_migration(shop, service)), ..NetworkPolicyPeer::default() }]
}

fn component(shop: &ValidShop, name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(meta::selector(shop, name)), ..NetworkPolicyPeer::default() }
}

fn dns() -> NetworkPolicyEgressRule {
    let servers = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector {
            match_labels: Some([("k8s-app".to_owned(), "kube-dns".to_owned())].into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let local = NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: NODE_LOCAL_DNS.to_owned(), ..IPBlock::default() }),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicyEgressRule { to: Some(vec![servers, local]), ports: Some(vec![port("UDP", DNS), port("TCP", DNS)]) }
}

fn port_of(endpoint: &str) -> Option<i32> {
    endpoint.rsplit_once(':')?.1.parse().ok()
}

fn from(peers: Vec<NetworkPolicyPeer>, number: i32) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(peers), ports: Some(vec![port("TCP", number)]) }
}

fn to(peers: Vec<NetworkPolicyPeer>, numbers: &[i32]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        // Nobody in particular is everybody.
        to: Some(peers).filter(|peers| !peers.is_empty()),
        ports: Some(numbers.iter().map(|number| port("TCP", *number)).collect()),
    }
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(number)),
        ..NetworkPolicyPort::default()
    }
}

fn network_policy(
    shop: &ValidShop,
    component: &str,
    name: String,
    selector: LabelSelector,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::metadata(shop, component, name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector),
            policy_types: Some(strings(["Ingress", "Egress"])),
            ingress: Some(ingress).filter(|rules| !rules.is_empty()),
            egress: Some(egress).filter(|rules| !rules.is_empty()),
        }),
    }
}
