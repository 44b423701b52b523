//! How requests get in, and who already has every host there.

use std::collections::BTreeMap;

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
    /// The Shop that already has the route for every host of this class, or of these Gateways.
    pub taken_by: Option<String>,
    /// Where else an older Shop has the route for every host. A Shop with a host is in nobody's way.
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
    let wanted = wanted(shop, found);
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        taken(shop, others, found).into_iter().partition(|(entrance, _)| *entrance == wanted);
    Route {
        host: shop.spec.host.clone(),
        class_name: class(shop, found),
        annotations: ingress.annotations.clone(),
        tls: ingress.tls.as_ref().map(|tls| tls.secret_name.clone()),
        gateway: ingress
            .gateway
            .as_ref()
            .map(|gateway| Gateway { parents: gateway.parent_refs.clone(), installed: found.gateway_api }),
        taken_by: here.into_iter().next().map(|(_, other)| other),
        taken: elsewhere.into_iter().map(|(entrance, _)| entrance).collect(),
    }
}

/// What older Shops have or want for every host, and their names, the oldest one first.
fn taken(shop: &Shop, others: &[impl AsRef<Shop>], found: &Found) -> Vec<(Entrance, String)> {
    if shop.spec.host.is_some() {
        return Vec::new();
    }
    let age = |shop: &Shop| (shop.creation_timestamp().map(|time| time.0), shop.uid());
    let others = others.iter().map(AsRef::as_ref);
    let mut older: Vec<&Shop> =
        others.filter(|other| other.metadata.deletion_timestamp.is_none() && age(other) < age(shop)).collect();
    older.sort_by_key(|other| age(other));
    let name = |shop: &Shop| format!("{}/{}", shop.namespace().unwrap_or_default(), shop.name_any());
    let of_one = |other: &Shop| entrances(other, found).map(|entrance| (entrance, name(other))).collect::<Vec<_>>();
    older.into_iter().flat_map(of_one).collect()
}

/// Where a Shop is to have every host, and where it has them: a route of before may have to stay.
fn entrances(shop: &Shop, found: &Found) -> impl Iterator<Item = Entrance> {
    let to_have = shop.spec.host.is_none().then(|| wanted(shop, found));
    to_have.into_iter().chain(shop.status.iter().flat_map(|status| status.entrances.iter().cloned()))
}

fn wanted(shop: &Shop, found: &Found) -> Entrance {
    match &shop.spec.ingress.gateway {
        Some(gateway) => Entrance { class_name: None, gateway: Some(gateway.clone()) },
        None => Entrance { class_name: class(shop, found), gateway: None },
    }
}

fn class(shop: &Shop, found: &Found) -> Option<String> {
    shop.spec.ingress.class_name.clone().or_else(|| found.default_class.clone())
}
