//! Network policies: nobody reaches a pod and no pod reaches anybody, except along the edges of the architecture.
//!
//! One policy a component, made from the same catalog as everything else, one for its migration, which listens to nothing, and
//! one for whatever else carries the Shop's labels. Where the cluster enforces none of them they change nothing.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::secret::passwords_key;
use super::{component_name, meta, strings};
use crate::catalog::{REDIS, SERVICES, Service, TRACES};
use crate::crd::StoreMode;
use crate::names::{self, COMPONENT_LABEL, SHOP_COMPONENT};
use crate::settings::OPERATOR_SELECTOR;
use crate::stores::Store;
use crate::validate::{Policy, Traces, ValidShop};

const HTTP: i32 = 8080;
const ADMIN: i32 = 8081;
const GRPC: i32 = 9090;
const OTLP: i32 = 4317;
const DNS: i32 = 53;
/// Submission, submission over TLS, and relay: where mail servers listen.
const MAIL: [i32; 3] = [587, 465, 25];
/// In the name of the policy for all pods.
const EVERYBODY: &str = "all";
/// Where NodeLocal DNSCache answers, which is no pod.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

pub(super) fn build(shop: &ValidShop) -> Vec<NetworkPolicy> {
    let Some(policy) = &shop.policy else { return Vec::new() };
    let services = SERVICES.iter().map(|service| of_service(shop, policy, service));
    let migrating = SERVICES.iter().filter(|service| shop.has_migration(service));
    let migrations = migrating.map(|service| of_migration(shop, policy, service));
    let embedded = shop.stores().into_iter().filter(|(_, store)| matches!(store, Store::Embedded(_)));
    let stores = embedded.map(|(name, store)| of_store(shop, name, store));
    let traces = has_traces(shop).then(|| of_traces(shop));
    let keeper = tells_redis(shop).then(|| of_redis_users(shop));
    [deny_all(shop)].into_iter().chain(migrations).chain(services).chain(stores).chain(traces).chain(keeper).collect()
}

/// Every pod with the Shop's labels, also one that no other policy knows.
fn deny_all(shop: &ValidShop) -> NetworkPolicy {
    let everyone =
        LabelSelector { match_labels: Some(names::selector_of_shop(&shop.name)), ..LabelSelector::default() };
    // By the name of the Shop alone it would be that of order's policy where one Shop is `acorn` and another `acorn-order`.
    network_policy(shop, SHOP_COMPONENT, component_name(shop, EVERYBODY), everyone, Vec::new(), Vec::new())
}

fn of_service(shop: &ValidShop, policy: &Policy, service: &Service) -> NetworkPolicy {
    let callers = SERVICES.iter().filter(|caller| caller.peers.iter().any(|peer| peer.service == service.name));
    let callers: Vec<NetworkPolicyPeer> = callers.map(|caller| with_canary(shop, caller.name)).collect();
    // The documents that docs merges are on the port of probes and metrics.
    let docs = (!service.routes.is_empty()).then(|| component(shop, "docs"));
    let analyst = shop.canary_of(service.name).and_then(|canary| canary.analysis.as_ref()).map(|_| operator());
    let readers = policy.metrics_from.iter().cloned().chain(docs).chain(analyst);
    let ingress = vec![
        (!service.routes.is_empty()).then(|| from(policy.ingress_from.clone(), HTTP)),
        (!callers.is_empty()).then(|| from(callers, GRPC)),
        Some(from(readers.collect(), ADMIN)),
    ];
    let selector = of_components(shop, service.name, canary(shop, service.name));
    let egress = egress(shop, policy, service, of_its_own(shop, service));
    let name = component_name(shop, service.name);
    network_policy(shop, service.name, name, selector, ingress.into_iter().flatten().collect(), egress)
}

/// What brings a service's stores to its version, and tries them.
fn of_migration(shop: &ValidShop, policy: &Policy, service: &Service) -> NetworkPolicy {
    let component = names::migration(service.name);
    let (name, selector) = (component_name(shop, &component), meta::selector(shop, &component));
    network_policy(shop, service.name, name, selector, Vec::new(), egress(shop, policy, service, Vec::new()))
}

/// What a service and its migration both ask for, and what is `own` to one of them.
fn egress(
    shop: &ValidShop,
    policy: &Policy,
    service: &Service,
    own: Vec<NetworkPolicyEgressRule>,
) -> Vec<NetworkPolicyEgressRule> {
    let mut egress = vec![dns()];
    egress.extend(shop.stores_of(service).map(|(name, store)| to_store(shop, name, store)));
    egress.extend(own);
    match &shop.traces {
        Traces::Embedded { .. } => egress.push(to(vec![component(shop, TRACES)], &[OTLP])),
        // Policies know no host names, so a collector is known by its port.
        Traces::Otlp { endpoint, .. } => egress.extend(port_of(endpoint).map(|port| to(Vec::new(), &[port]))),
        Traces::Disabled => {}
    }
    if !policy.egress_to.is_empty() {
        egress.push(NetworkPolicyEgressRule { to: Some(policy.egress_to.clone()), ports: None });
    }
    egress
}

/// Where only the service itself goes: to its neighbours, and to a mail server.
fn of_its_own(shop: &ValidShop, service: &Service) -> Vec<NetworkPolicyEgressRule> {
    let mut egress: Vec<_> =
        service.peers.iter().map(|peer| to(vec![with_canary(shop, peer.service)], &[GRPC])).collect();
    if service.name == "docs" {
        let documented = SERVICES.iter().filter(|other| !other.routes.is_empty() && other.name != service.name);
        egress.push(to(documented.map(|other| component(shop, other.name)).collect(), &[ADMIN]));
    }
    if service.name == "user" && shop.users.mail.smtp.is_some() {
        egress.push(to(Vec::new(), &MAIL));
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
        Store::External(Ok(login)) => login.ports(store.port(name)),
        _ => vec![store.port(name)],
    };
    to(pods, &ports)
}

fn pods(label: &str, value: String) -> NetworkPolicyPeer {
    let labelled = LabelSelector { match_labels: Some([(label.to_owned(), value)].into()), ..LabelSelector::default() };
    NetworkPolicyPeer { pod_selector: Some(labelled), ..NetworkPolicyPeer::default() }
}

/// A store answers the services that use it, and asks nobody.
fn of_store(shop: &ValidShop, name: &'static str, store: &Store) -> NetworkPolicy {
    let users = SERVICES.iter().filter(|service| service.uses(name));
    let keeper = (name == REDIS && tells_redis(shop)).then(|| component(shop, names::REDIS_USERS));
    let peers = users.flat_map(|service| with_migration(shop, service)).chain(keeper);
    let ingress = vec![from(peers.collect(), store.port(name))];
    network_policy(shop, name, component_name(shop, name), meta::selector(shop, name), ingress, Vec::new())
}

/// The Job that tells Redis other passwords, while there is one.
fn of_redis_users(shop: &ValidShop) -> NetworkPolicy {
    let (name, selector) = (component_name(shop, names::REDIS_USERS), meta::selector(shop, names::REDIS_USERS));
    let egress = vec![dns(), to(vec![component(shop, REDIS)], &[shop.redis.port(REDIS)])];
    network_policy(shop, REDIS, name, selector, Vec::new(), egress)
}

fn tells_redis(shop: &ValidShop) -> bool {
    shop.redis.mode() == StoreMode::Embedded && passwords_key(shop).is_some()
}

fn of_traces(shop: &ValidShop) -> NetworkPolicy {
    let senders = SERVICES.iter().flat_map(|service| with_migration(shop, service));
    let ingress = vec![from(senders.collect(), OTLP)];
    network_policy(shop, TRACES, component_name(shop, TRACES), meta::selector(shop, TRACES), ingress, Vec::new())
}

fn has_traces(shop: &ValidShop) -> bool {
    matches!(shop.traces, Traces::Embedded { .. })
}

/// The pods of a service, those of its canary, and those of its migration, which need the same stores.
fn with_migration(shop: &ValidShop, service: &Service) -> impl Iterator<Item = NetworkPolicyPeer> {
    let migration = shop.has_migration(service).then(|| component(shop, &names::migration(service.name)));
    [with_canary(shop, service.name)].into_iter().chain(migration)
}

/// The pods of a service and those of its canary.
fn with_canary(shop: &ValidShop, service: &str) -> NetworkPolicyPeer {
    peer(of_components(shop, service, canary(shop, service)))
}

/// The component of a service's canary. The pods of one that ended finish what they have begun.
fn canary(shop: &ValidShop, service: &str) -> Option<String> {
    let found = shop.services.iter().find(|found| found.service.name == service)?;
    (found.canary.is_some() || found.has_canary_pods).then(|| names::canary(service))
}

fn of_components(shop: &ValidShop, name: &str, more: Option<String>) -> LabelSelector {
    let Some(more) = more else { return meta::selector(shop, name) };
    let mut labels = names::selector(&shop.name, name);
    labels.remove(COMPONENT_LABEL);
    let either = LabelSelectorRequirement {
        key: COMPONENT_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![name.to_owned(), more]),
    };
    LabelSelector { match_labels: Some(labels), match_expressions: Some(vec![either]) }
}

fn component(shop: &ValidShop, name: &str) -> NetworkPolicyPeer {
    peer(meta::selector(shop, name))
}

fn peer(pods: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(pods), ..NetworkPolicyPeer::default() }
}

/// Who decides about canaries by what their pods measure.
fn operator() -> NetworkPolicyPeer {
    let labels = OPERATOR_SELECTOR.split(',').filter_map(|label| label.split_once('='));
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }
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
