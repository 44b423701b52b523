//! Who runs each store, and how it is reached.

use super::Invalid;
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS};
use crate::crd::{EmbeddedStore, ExternalStore, Shop};
use crate::identities::StoreLeaf;
use crate::names;
use crate::stores::{Embedded, Found, Store};
use kube::ResourceExt;

/// What a store is given that this operator runs.
pub(super) struct Own<'a> {
    pub image: &'a str,
    pub certificate: Option<&'a StoreLeaf>,
}

pub(super) fn postgres(shop: &Shop, own: Own<'_>, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.postgres;
    let operated = spec.cloud_native_pg.clone().map(|wanted| Store::CloudNativePg {
        wanted,
        installed: found.cloud_native_pg,
        superuser: found.superuser(&names::component(&shop.name_any(), POSTGRES)),
    });
    one_of(
        POSTGRES,
        [own.embedded(shop, spec.embedded.as_ref()), operated, external(POSTGRES, spec.external.as_ref(), found)],
    )
}

pub(super) fn mongodb(shop: &Shop, own: Own<'_>, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.mongodb;
    one_of(MONGODB, [own.embedded(shop, spec.embedded.as_ref()), external(MONGODB, spec.external.as_ref(), found)])
}

pub(super) fn redis(shop: &Shop, own: Own<'_>, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.redis;
    one_of(REDIS, [own.embedded(shop, spec.embedded.as_ref()), external(REDIS, spec.external.as_ref(), found)])
}

pub(super) fn rabbitmq(shop: &Shop, own: Own<'_>, found: &Found) -> Result<Store, Invalid> {
    let spec = &shop.spec.rabbitmq;
    let operated = spec
        .cluster_operator
        .clone()
        .map(|wanted| Store::ClusterOperator { wanted, installed: found.cluster_operator });
    one_of(
        RABBITMQ,
        [own.embedded(shop, spec.embedded.as_ref()), operated, external(RABBITMQ, spec.external.as_ref(), found)],
    )
}

impl Own<'_> {
    fn embedded(self, shop: &Shop, spec: Option<&EmbeddedStore>) -> Option<Store> {
        let Self { image, certificate } = self;
        let embedded = |volume: &EmbeddedStore| {
            let (image, certificate) = (image.to_owned(), certificate.cloned());
            let data_on_delete = shop.spec.data_on_delete(volume);
            Store::Embedded(Embedded { image, volume: volume.clone(), data_on_delete, certificate })
        };
        spec.map(embedded)
    }
}

fn external(store: &'static str, spec: Option<&ExternalStore>, found: &Found) -> Option<Store> {
    spec.map(|external| Store::External(found.external(store, external)))
}

/// The API server lets exactly one through, except in a Shop that is older than the rule.
fn one_of(store: &str, given: impl IntoIterator<Item = Option<Store>>) -> Result<Store, Invalid> {
    let missing = || Invalid { field: format!("spec.{store}"), message: "write `embedded: {}`".to_owned() };
    given.into_iter().flatten().next().ok_or_else(missing)
}
