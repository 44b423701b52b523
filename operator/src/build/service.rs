//! Services: the names under which pods find each other.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{component_name, meta};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, TRACES, store_port};
use crate::names;
use crate::validate::{Traces, ValidShop};

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
    let ports = [(POSTGRES, "postgres"), (MONGODB, "mongodb"), (REDIS, "redis"), (RABBITMQ, "amqp")];
    for (store, port) in ports.into_iter().filter(|(store, _)| shop.embedded_stores().contains(store)) {
        let port = Port(port, store_port(store), "tcp");
        services.push(of(shop, store, component_name(shop, store), Some("None"), &[port]));
    }
    if matches!(shop.traces, Traces::Embedded { .. }) {
        let ports = [Port("otlp", 4317, "grpc"), Port("query", 16686, "http")];
        services.push(of(shop, TRACES, component_name(shop, TRACES), None, &ports));
    }
    services
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
