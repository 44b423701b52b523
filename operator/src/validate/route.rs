//! How requests get in, and who already has the host there, or every host.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::crd::{Entrance, ParentReference, Shop};
use crate::stores::Found;

/// How requests get in.
#[derive(Debug)]
pub struct Route {
    /// The host, or every host.
    pub host: Option<String>,
    /// The ingress class, if there is one to name.
    pub class_name: Option<String>,
    /// Annotations of the Ingress.
    pub annotations: BTreeMap<String, String>,
    /// HTTPS: whether, and with which certificate.
    pub tls: Option<Option<String>>,
    /// The Gateways, where there is no Ingress.
    pub gateway: Option<Gateway>,
    /// The Shop that already has the host in this class or on one of these Gateways, or every host.
    pub taken_by: Option<String>,
    /// Where older Shops have or want the same. A Shop with a host is in nobody's way who has another one, or none.
    pub taken: Vec<Entrance>,
}

/// Where a route through Gateways leads through.
#[derive(Debug)]
pub struct Gateway {
    /// The Gateways.
    pub parents: Vec<ParentReference>,
    /// Whether the cluster knows such routes.
    pub installed: bool,
}

pub(super) fn valid(shop: &Shop, others: &[impl AsRef<Shop>], found: &Found) -> Route {
    let ingress = &shop.spec.ingress;
    let (wanted, taken) = (wanted(shop, found), taken(shop, others, found));
    Route {
        host: shop.spec.host.clone(),
        class_name: class(shop, found),
        annotations: ingress.annotations.clone(),
        tls: ingress.tls.as_ref().map(|tls| tls.secret_name.clone()),
        gateway: ingress
            .gateway
            .as_ref()
            .map(|gateway| Gateway { parents: gateway.parent_refs.clone(), installed: found.gateway_api }),
        taken_by: taken.iter().find(|(entrance, _)| entrance.overlaps(&wanted)).map(|(_, other)| other.clone()),
        taken: taken.into_iter().map(|(entrance, _)| entrance).collect(),
    }
}

/// Where older Shops have or want the same host, and their names, the oldest one first.
fn taken(shop: &Shop, others: &[impl AsRef<Shop>], found: &Found) -> Vec<(Entrance, String)> {
    let mut older: Vec<&Shop> = others.iter().map(AsRef::as_ref).filter(|other| is_older(other, shop)).collect();
    older.sort_by_key(|&other| age(other));
    let host = shop.spec.host.as_deref();
    let name = |shop: &Shop| format!("{}/{}", shop.namespace().unwrap_or_default(), shop.name_any());
    let of_one =
        |other: &Shop| entrances(other, host, found).map(|entrance| (entrance, name(other))).collect::<Vec<_>>();
    older.into_iter().flat_map(of_one).collect()
}

/// One that was deleted may still be remembered, and may have had the same name.
fn is_older(other: &Shop, shop: &Shop) -> bool {
    let (theirs, ours) = (&other.metadata, &shop.metadata);
    let is_another = (&theirs.namespace, &theirs.name) != (&ours.namespace, &ours.name);
    is_another && theirs.deletion_timestamp.is_none() && age(other) < age(shop)
}

fn age(shop: &Shop) -> (Option<Timestamp>, Option<&str>) {
    (shop.metadata.creation_timestamp.as_ref().map(|made| made.0), shop.metadata.uid.as_deref())
}

/// Where a Shop is to have a host, and where it has it: a route of before may have to stay.
fn entrances(shop: &Shop, host: Option<&str>, found: &Found) -> impl Iterator<Item = Entrance> {
    let to_have = (shop.spec.host.as_deref() == host).then(|| wanted(shop, found));
    let has = shop.status.iter().flat_map(|status| &status.entrances);
    to_have.into_iter().chain(has.filter(move |entrance| entrance.host.as_deref() == host).cloned())
}

fn wanted(shop: &Shop, found: &Found) -> Entrance {
    let host = shop.spec.host.clone();
    match &shop.spec.ingress.gateway {
        Some(gateway) => {
            let gateway = gateway.within(shop.metadata.namespace.as_deref());
            Entrance { host, class_name: None, gateway: Some(gateway) }
        }
        None => Entrance { host, class_name: class(shop, found), gateway: None },
    }
}

fn class(shop: &Shop, found: &Found) -> Option<String> {
    shop.spec.ingress.class_name.clone().or_else(|| found.default_class.clone())
}
