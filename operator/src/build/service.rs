//! Services: the names under which pods find each other.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{component_name, meta};
use crate::catalog::{MONGODB, POSTGRES, REDIS, TRACES};
use crate::names;
use crate::stores::Store;
use crate::validate::{Traces, ValidService, ValidShop};

/// A port and the protocol on it, for meshes and ingress controllers.
struct Port(&'static str, i32, &'static str);

pub(super) fn build(shop: &ValidShop) -> Vec<Service> {
    let mut services = Vec::new();
    for service in shop.services.iter().map(|service| service.service) {
        let ports = [Port("http", 8080, "http"), Port("admin", 8081, "http")];
        services.push(of(shop, service.name, component_name(shop, service.name), None, &ports));
        if service.grpc {
            let ports = [Port("grpc", 9090, "grpc")];
            // Clients balance over the addresses of ready pods; a virtual address would pin them to one.
            services.push(of(shop, service.name, names::grpc(&shop.name, service.name), Some("None"), &ports));
        }
    }
    services.extend(shop.canaries().flat_map(|canary| of_canary(shop, &canary)));
    for (name, store) in shop.stores().into_iter().filter(|(_, store)| matches!(store, Store::Embedded(_))) {
        let port = Port(protocol(name), store.port(name), "tcp");
        services.push(of(shop, name, component_name(shop, name), Some("None"), &[port]));
    }
    if matches!(shop.traces, Traces::Embedded { .. }) {
        let ports = [Port("otlp", 4317, "grpc"), Port("query", 16686, "http")];
        services.push(of(shop, TRACES, component_name(shop, TRACES), None, &ports));
    }
    services
}

/// What the port of a store is called.
fn protocol(store: &str) -> &'static str {
    match store {
        POSTGRES => "postgres",
        MONGODB => "mongodb",
        REDIS => "redis",
        _ => "amqp",
    }
}

/// The names under which those find a canary who share their calls and requests between it and the others.
fn of_canary(shop: &ValidShop, canary: &ValidService) -> Vec<Service> {
    let component = canary.component();
    let called = canary.service.grpc.then(|| {
        let name = names::grpc(&shop.name, &component);
        marked(of(shop, &component, name, Some("None"), &[Port("grpc", 9090, "grpc")]))
    });
    let routed = routed(shop, canary).filter(|_| shop.route.gateway.is_some());
    called.into_iter().chain(routed).collect()
}

/// The names under which Gateways find canaries.
pub(crate) fn of_routed_canaries(shop: &ValidShop) -> Vec<Service> {
    shop.canaries().filter_map(|canary| routed(shop, &canary)).collect()
}

fn routed(shop: &ValidShop, canary: &ValidService) -> Option<Service> {
    let component = canary.component();
    let name = component_name(shop, &component);
    let is_routed = !canary.service.routes.is_empty();
    is_routed.then(|| marked(of(shop, &component, name, None, &[Port("http", 8080, "http")])))
}

fn marked(mut service: Service) -> Service {
    meta::mark(&mut service.metadata);
    service
}

fn of(shop: &ValidShop, component: &str, name: String, cluster_ip: Option<&str>, ports: &[Port]) -> Service {
    let port = |Port(name, number, protocol): &Port| ServicePort {
        name: Some((*name).to_owned()),
        port: *number,
        target_port: Some(IntOrString::String((*name).to_owned())),
        app_protocol: Some((*protocol).to_owned()),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: meta::metadata(shop, component, name),
        spec: Some(ServiceSpec {
            cluster_ip: cluster_ip.map(str::to_owned),
            selector: Some(names::selector(&shop.name, component)),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
