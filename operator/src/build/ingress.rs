//! The Ingress: which path leads to which service. What is not in the catalog's routes is not reachable from outside.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use kube::ResourceExt;

use super::{component_name, meta};
use crate::names::{APPLIED_ANNOTATION, SHOP_COMPONENT};
use crate::validate::ValidShop;

/// The route, unless another Shop has it or it leads through a Gateway.
pub(super) fn build(shop: &ValidShop) -> Option<Ingress> {
    let route = &shop.route;
    if route.taken_by.is_some() || route.gateway.is_some() {
        return None;
    }
    let tls = route.tls.clone().map(|secret_name| IngressTLS { hosts: None, secret_name });
    Some(of_class(shop, route.class_name.clone(), route.annotations.clone(), tls))
}

/// The Ingress of before as it is to be now. Beside Gateways the spec has no class, no annotations and no HTTPS, so they stay.
pub(crate) fn former(shop: &ValidShop, found: &Ingress) -> Ingress {
    let spec = found.spec.clone().unwrap_or_default();
    let mut annotations = found.annotations().clone();
    annotations.remove(APPLIED_ANNOTATION);
    of_class(shop, spec.ingress_class_name, annotations, spec.tls.into_iter().flatten().next())
}

fn of_class(
    shop: &ValidShop,
    class_name: Option<String>,
    annotations: BTreeMap<String, String>,
    tls: Option<IngressTLS>,
) -> Ingress {
    let host = &shop.route.host;
    let mut metadata = meta::metadata(shop, SHOP_COMPONENT, shop.name.clone());
    metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    let tls = tls.map(|tls| IngressTLS { hosts: host.clone().map(|host| vec![host]), ..tls });
    Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: class_name,
            rules: Some(vec![IngressRule {
                host: host.clone(),
                http: Some(HTTPIngressRuleValue { paths: paths(shop) }),
            }]),
            tls: tls.map(|tls| vec![tls]),
            ..IngressSpec::default()
        }),
        status: None,
    }
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
