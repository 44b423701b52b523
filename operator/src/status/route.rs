//! The route: whether somebody serves the Ingress, and the address to show.

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::ResourceExt;

use super::conditions::Verdict;
use crate::validate::ValidShop;

const TYPE: &str = "RouteReady";
/// Marks the class of an Ingress that names none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

pub(super) fn verdict(shop: &ValidShop, classes: &[IngressClass]) -> Verdict {
    if let Some(other) = &shop.route.taken_by {
        let message = format!(
            "Shop {other} takes every host of this ingress class already; set spec.host, or another spec.ingress.className"
        );
        return Verdict::no(TYPE, "HostlessRouteTaken", message);
    }
    let known: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
    let choices =
        if known.is_empty() { "the cluster has none".to_owned() } else { format!("there is: {}", known.join(", ")) };
    let wanted = shop.route.class_name.as_deref();
    let served = classes.iter().find(|class| wanted.map_or_else(|| is_default(class), |name| class.name_any() == name));
    match (served, wanted) {
        (Some(class), _) => {
            Verdict::yes(TYPE, "RouteApplied", format!("the Ingress is applied to class {}", class.name_any()))
        }
        (None, Some(name)) => {
            Verdict::no(TYPE, "NoSuchIngressClass", format!("there is no ingress class {name}; {choices}"))
        }
        (None, None) => {
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

fn is_default(class: &IngressClass) -> bool {
    class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true")
}
