//! The route: whether somebody serves the Ingress, or a Gateway takes the route, and the address to show.

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::ResourceExt;

use super::Facts;
use super::conditions::Verdict;
use crate::crd::{Entrance, GatewaySpec, ParentReference};
use crate::kinds::HttpRoute;
use crate::validate::{Gateway, ValidShop};

const TYPE: &str = "RouteReady";

pub(super) fn verdict(facts: &Facts<'_>) -> Verdict {
    let verdict = judged(facts.shop, facts.ingress_classes, &facts.applied.http_routes);
    match facts.former_route {
        Some(former) if !verdict.holds => {
            Verdict { message: format!("{} (the {former} of before stays meanwhile)", verdict.message), ..verdict }
        }
        _ => verdict,
    }
}

/// Where routes are, and for which host.
pub(crate) fn entrances(ingresses: &[Ingress], http_routes: &[HttpRoute]) -> Vec<Entrance> {
    let of_class = ingresses.iter().filter_map(|ingress| ingress.spec.as_ref()).flat_map(|spec| {
        let class_name = &spec.ingress_class_name;
        let rules = spec.rules.iter().flatten();
        rules.map(move |rule| Entrance { host: rule.host.clone(), class_name: class_name.clone(), gateway: None })
    });
    let through = http_routes.iter().map(|route| {
        let gateway = GatewaySpec { parent_refs: route.spec.parent_refs.clone() };
        let gateway = gateway.within(route.metadata.namespace.as_deref());
        Entrance { host: route.spec.hostnames.first().cloned(), class_name: None, gateway: Some(gateway) }
    });
    of_class.chain(through).collect()
}

/// Whether somebody serves the wanted route.
pub(crate) fn is_served(shop: &ValidShop, classes: &[IngressClass], routes: &[HttpRoute]) -> bool {
    judged(shop, classes, routes).holds
}

fn judged(shop: &ValidShop, classes: &[IngressClass], routes: &[HttpRoute]) -> Verdict {
    if let Some(other) = &shop.route.taken_by {
        let instead = "or another ingress class or Gateway in spec.ingress";
        let (reason, message) = match &shop.route.host {
            Some(host) => {
                ("HostTaken", format!("Shop {other} answers for {host} already; set another spec.host, {instead}"))
            }
            None => ("HostlessRouteTaken", format!("Shop {other} takes every host already; set spec.host, {instead}")),
        };
        return Verdict::no(TYPE, reason, message);
    }
    match &shop.route.gateway {
        Some(gateway) => through(gateway, routes),
        None => of_class(shop, classes),
    }
}

/// What those who run the Gateways say. They are asked through the route, which needs no right to look at Gateways.
fn through(gateway: &Gateway, routes: &[HttpRoute]) -> Verdict {
    if !gateway.installed {
        let message = "spec.ingress.gateway needs the Gateway API, which this cluster does not know: install it \
                       (https://gateway-api.sigs.k8s.io/guides), or remove spec.ingress.gateway";
        return Verdict::no(TYPE, "GatewayAPIMissing", message);
    }
    let told = |parent, type_| routes.iter().find_map(|route| route.told(parent, type_));
    let named: Vec<String> = gateway.parents.iter().map(display).collect();
    for (parent, name) in gateway.parents.iter().zip(&named) {
        match (told(parent, "Accepted"), told(parent, "ResolvedRefs")) {
            (Some(accepted), _) if accepted.status == "False" => {
                let message = format!("Gateway {name} does not take the HTTPRoute: {}", accepted.message);
                return Verdict::no(TYPE, accepted.reason.clone(), message);
            }
            (Some(accepted), Some(resolved)) if accepted.status == "True" && resolved.status != "False" => {}
            (_, Some(resolved)) if resolved.status == "False" => {
                return Verdict::not_yet(TYPE, "GatewayNotReady", format!("Gateway {name}: {}", resolved.message));
            }
            _ => {
                let message =
                    format!("nobody has attached the HTTPRoute to Gateway {name} yet; is there such a Gateway?");
                return Verdict::not_yet(TYPE, "GatewayNotReady", message);
            }
        }
    }
    Verdict::yes(TYPE, "RouteApplied", format!("the HTTPRoute is attached to Gateway {}", named.join(", ")))
}

fn display(parent: &ParentReference) -> String {
    let ParentReference { name, namespace, section_name } = parent;
    let namespace = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let section = section_name.as_ref().map(|section| format!(", listener {section}")).unwrap_or_default();
    format!("{namespace}{name}{section}")
}

/// Whether there is a class that an Ingress is served by.
fn of_class(shop: &ValidShop, classes: &[IngressClass]) -> Verdict {
    let known: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
    let choices =
        if known.is_empty() { "the cluster has none".to_owned() } else { format!("there is: {}", known.join(", ")) };
    match shop.route.class_name.as_deref() {
        Some(name) if known.iter().any(|class| class == name) => {
            Verdict::yes(TYPE, "RouteApplied", format!("the Ingress is applied to class {name}"))
        }
        Some(name) => Verdict::no(TYPE, "NoSuchIngressClass", format!("there is no ingress class {name}; {choices}")),
        None => {
            let message = format!("no ingress class is the default; set spec.ingress.className; {choices}");
            Verdict::no(TYPE, "NoDefaultIngressClass", message)
        }
    }
}

/// The address to show: the public one, or for a Shop without a host the one where its ingress controller listens.
pub(super) fn url(shop: &ValidShop, ingresses: &[Ingress]) -> Option<String> {
    if shop.route.taken_by.is_some() {
        return None;
    }
    if shop.route.host.is_some() || shop.public_url != "http://localhost" {
        return Some(shop.public_url.clone());
    }
    let points = ingresses.iter().flat_map(|ingress| {
        ingress.status.iter().flat_map(|status| status.load_balancer.iter().flat_map(|lb| lb.ingress.iter().flatten()))
    });
    let address = points.into_iter().find_map(|point| point.ip.clone().or_else(|| point.hostname.clone()));
    Some(address.map_or_else(|| shop.public_url.clone(), |address| format!("http://{address}")))
}
