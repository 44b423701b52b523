//! The way in of before, where a Shop goes over from an Ingress to a Gateway or back: it is closed when the wanted one is open.

use std::borrow::Cow;
use std::slice;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::{Resource, ResourceExt};

use crate::apply::ownership::owns;
use crate::build::{former_http_route, former_ingress, of_routed_canaries};
use crate::crd::Entrance;
use crate::kinds::HttpRoute;
use crate::objects::{Desired, Live, Objects};
use crate::status::{entrances, is_served};
use crate::validate::ValidShop;

/// Ingress controllers have heard of an Ingress after this time. Not all of them write into it that they have.
const HEARD_OF: SignedDuration = SignedDuration::from_secs(10);

/// Adds the route that is not wanted any more if it has to stay, as it is to be now, and answers with its kind.
pub(super) fn keep(
    shop: &ValidShop,
    desired: &mut Objects<Desired>,
    live: &Objects<Live>,
    classes: &[IngressClass],
    now: Timestamp,
) -> Option<Cow<'static, str>> {
    let through_gateway = shop.route.gateway.is_some();
    let is_open = is_served(shop, classes, &live.http_routes)
        && (through_gateway || live.ingresses.iter().any(|ingress| is_heard_of(ingress, now)));
    if is_open {
        return None;
    }
    let is_taken = |entrance: &Entrance| shop.route.taken.iter().any(|taken| taken.overlaps(entrance));
    let is_free = |entrances: &[Entrance]| !entrances.iter().any(is_taken);
    if through_gateway {
        let former = former_ingress(shop, of_before(shop, &live.ingresses)?);
        return is_free(&entrances(slice::from_ref(&former), &[])).then(|| {
            desired.ingresses.push(former);
            Ingress::kind(&())
        });
    }
    let former = former_http_route(shop, of_before(shop, &live.http_routes)?);
    is_free(&entrances(&[], slice::from_ref(&former))).then(|| {
        desired.http_routes.push(former);
        desired.services.extend(of_routed_canaries(shop));
        HttpRoute::kind(&())
    })
}

fn of_before<'a, K: ResourceExt>(shop: &ValidShop, live: &'a [K]) -> Option<&'a K> {
    live.iter().find(|found| found.name_any() == shop.name && owns(&shop.owner.uid, *found))
}

fn is_heard_of(ingress: &Ingress, now: Timestamp) -> bool {
    ingress.metadata.creation_timestamp.as_ref().is_none_or(|made| made.0 + HEARD_OF <= now)
}
