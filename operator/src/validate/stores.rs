//! Who runs each store, and how it is reached.

use super::Invalid;
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS};
use crate::crd::{EmbeddedStore, ExternalStore, Shop};
use crate::names;
use crate::stores::{Embedded, Found, Store};
use kube::ResourceExt;

pub(super) fn postgres(shop: &Shop, image: &str, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.postgres;
    let operated = spec.cloud_native_pg.clone().map(|wanted| Store::CloudNativePg {
        wanted,
        installed: found.cloud_native_pg,
        superuser: found.superuser(&names::component(&shop.name_any(), POSTGRES)),
    });
    one_of(
        POSTGRES,
        [embedded(spec.embedded.as_ref(), image), operated, external(POSTGRES, spec.external.as_ref(), found)],
    )
}

pub(super) fn mongodb(shop: &Shop, image: &str, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.mongodb;
    one_of(MONGODB, [embedded(spec.embedded.as_ref(), image), external(MONGODB, spec.external.as_ref(), found)])
}

pub(super) fn redis(shop: &Shop, image: &str, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.redis;
    one_of(REDIS, [embedded(spec.embedded.as_ref(), image), external(REDIS, spec.external.as_ref(), found)])
}

pub(super) fn rabbitmq(shop: &Shop, image: &str, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.rabbitmq;
    let operated = spec
        .cluster_operator
        .clone()
        .map(|wanted| Store::ClusterOperator { wanted, installed: found.cluster_operator });
    one_of(
        RABBITMQ,
        [embedded(spec.embedded.as_ref(), image), operated, external(RABBITMQ, spec.external.as_ref(), found)],
    )
}

fn embedded(spec: Option<&EmbeddedStore>, image: &str) -> Option<Store> {
    spec.map(|volume| Store::Embedded(Embedded { image: image.to_owned(), volume: volume.clone() }))
}

fn external(store: &'static str, spec: Option<&ExternalStore>, found: &Found) -> Option<Store> {
    spec.map(|external| Store::External(found.external(store, external)))
}

/// The API server lets exactly one through, except in a Shop that is older than the rule.
fn one_of(store: &str, given: impl IntoIterator<Item = Option<Store>>) -> Result<Store, Invalid> {
    let missing = || Invalid { field: format!("spec.{store}"), message: "write `embedded: {}`".to_owned() };
    given.into_iter().flatten().next().ok_or_else(missing)
}
