//! The way in of before, where a Shop goes over from an Ingress to a Gateway or back: it is closed when the wanted one is open.

use std::borrow::Cow;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::Resource;

use crate::kinds::HttpRoute;
use crate::objects::{Live, Objects};
use crate::status::is_served;
use crate::validate::ValidShop;

/// The kind of the route that is not wanted any more, if it has to stay.
pub(super) fn staying(shop: &ValidShop, live: &Objects<Live>, classes: &[IngressClass]) -> Option<Cow<'static, str>> {
    let former = if shop.route.gateway.is_some() { Ingress::kind(&()) } else { HttpRoute::kind(&()) };
    (!is_served(shop, classes, &live.http_routes)).then_some(former)
}
