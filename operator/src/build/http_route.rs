//! The `HTTPRoute`: the same paths as in the Ingress, each with the share of a canary.

use super::{component_name, meta};
use crate::crd::ParentReference;
use crate::kinds::{HttpBackendRef, HttpPathMatch, HttpRoute, HttpRouteMatch, HttpRouteRule, HttpRouteSpec};
use crate::names::{self, SHOP_COMPONENT};
use crate::validate::{Canary, ValidService, ValidShop};

/// All requests.
const WHOLE: i32 = 100;

/// The route through Gateways, unless another Shop has it or the cluster knows no such routes.
pub(super) fn build(shop: &ValidShop) -> Option<HttpRoute> {
    let route = &shop.route;
    let gateway = route.gateway.as_ref().filter(|gateway| gateway.installed && route.taken_by.is_none())?;
    Some(through(shop, gateway.parents.clone()))
}

/// The route of before as it is to be now. Beside an Ingress the spec names no Gateways, so they stay.
pub(crate) fn former(shop: &ValidShop, found: &HttpRoute) -> HttpRoute {
    through(shop, found.spec.parent_refs.clone())
}

fn through(shop: &ValidShop, parent_refs: Vec<ParentReference>) -> HttpRoute {
    let routed = shop.services.iter().filter(|service| !service.service.routes.is_empty());
    let spec = HttpRouteSpec {
        parent_refs,
        hostnames: shop.route.host.iter().cloned().collect(),
        rules: routed.map(|service| rule(shop, service)).collect(),
    };
    let metadata = meta::metadata(shop, SHOP_COMPONENT, shop.name.clone());
    HttpRoute { metadata, spec, status: None }
}

fn rule(shop: &ValidShop, service: &ValidService) -> HttpRouteRule {
    let path = |path: &&str| HttpPathMatch { type_: "PathPrefix".to_owned(), value: (*path).to_owned() };
    let backend =
        |component: &str, weight| HttpBackendRef { name: component_name(shop, component), port: 8080, weight };
    let name = service.service.name;
    let share = service.canary.as_ref().map(Canary::share);
    let canary = share.map(|share| backend(&names::canary(name), share));
    HttpRouteRule {
        matches: service.service.routes.iter().map(|route| HttpRouteMatch { path: path(route) }).collect(),
        backend_refs: [backend(name, WHOLE - share.unwrap_or_default())].into_iter().chain(canary).collect(),
    }
}
