//! The Ingress: which path leads to which service. What is not in the catalog's routes is not reachable from outside.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::{component_name, meta};
use crate::names::SHOP_COMPONENT;
use crate::validate::ValidShop;

/// The route, unless another Shop has it or it leads through a Gateway.
pub(super) fn build(shop: &ValidShop) -> Option<Ingress> {
    let route = &shop.route;
    if route.taken_by.is_some() || route.gateway.is_some() {
        return None;
    }
    let mut metadata = meta::metadata(shop, SHOP_COMPONENT, shop.name.clone());
    metadata.annotations = Some(route.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let tls = route.tls.as_ref().map(|secret_name| IngressTLS {
        hosts: route.host.clone().map(|host| vec![host]),
        secret_name: secret_name.clone(),
    });
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: route.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: route.host.clone(),
                http: Some(HTTPIngressRuleValue { paths: paths(shop) }),
            }]),
            tls: tls.map(|tls| vec![tls]),
            ..IngressSpec::default()
        }),
        status: None,
    })
}

fn paths(shop: &ValidShop) -> Vec<HTTPIngressPath> {
    let routes = shop.services.iter().flat_map(|service| {
        let name = service.service.name;
        service.service.routes.iter().map(move |path| (name, *path))
    });
    routes
        .map(|(service, path)| HTTPIngressPath {
            path: Some(path.to_owned()),
            path_type: "Prefix".to_owned(),
            backend: IngressBackend {
                service: Some(IngressServiceBackend {
                    name: component_name(shop, service),
                    port: Some(ServiceBackendPort { name: Some("http".to_owned()), number: None }),
                }),
                resource: None,
            },
        })
        .collect()
}
