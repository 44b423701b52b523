//! The way in of before, where a Shop goes over from an Ingress to a Gateway or back: it is closed when the wanted one is open.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::Resource;

use crate::kinds::HttpRoute;
use crate::objects::{Live, Objects};
use crate::status::is_served;
use crate::validate::ValidShop;

/// Ingress controllers have heard of an Ingress after this time. Not all of them write into it that they have.
const HEARD_OF: SignedDuration = SignedDuration::from_secs(10);

/// The kind of the route that is not wanted any more, if it has to stay.
pub(super) fn staying(
    shop: &ValidShop,
    live: &Objects<Live>,
    classes: &[IngressClass],
    now: Timestamp,
) -> Option<Cow<'static, str>> {
    let through_gateway = shop.route.gateway.is_some();
    let is_open = is_served(shop, classes, &live.http_routes)
        && (through_gateway || live.ingresses.iter().any(|ingress| is_heard_of(ingress, now)));
    let former = if through_gateway { Ingress::kind(&()) } else { HttpRoute::kind(&()) };
    (!is_open).then_some(former)
}

fn is_heard_of(ingress: &Ingress, now: Timestamp) -> bool {
    ingress.metadata.creation_timestamp.as_ref().is_none_or(|made| made.0 + HEARD_OF <= now)
}
