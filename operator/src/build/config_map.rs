//! Configuration files: the public keys of access tokens, the shares of canaries, and the settings of the stores that read files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::stores::{postgres, rabbitmq, redis};
use super::{addresses, component_name, env, meta};
use crate::catalog::{POSTGRES, RABBITMQ, REDIS};
use crate::names;
use crate::stores::Store;
use crate::validate::{Canary, ValidService, ValidShop};

pub(super) fn build(shop: &ValidShop) -> Vec<ConfigMap> {
    let mut maps = vec![config_map(
        shop,
        "user",
        names::jwks(&shop.name),
        BTreeMap::from([(env::JWKS_FILE.to_owned(), shop.token_keys.published.clone())]),
    )];
    maps.push(config_map(shop, names::SHOP_COMPONENT, names::traffic(&shop.name), shares(shop)));
    let mut of_store = |store: &str, file: &str, content: String| {
        let files = BTreeMap::from([(file.to_owned(), content)]);
        maps.push(config_map(shop, store, component_name(shop, store), files));
    };
    if shop.postgres.certificate().is_some() {
        of_store(POSTGRES, postgres::HBA_FILE, postgres::HBA.to_owned());
    }
    if let Store::Embedded(store) = &shop.redis {
        of_store(REDIS, redis::CONFIG_FILE, redis::config(store));
    }
    if let Store::Embedded(store) = &shop.rabbitmq {
        of_store(RABBITMQ, rabbitmq::CONFIG_FILE, rabbitmq::config(store));
    }
    let authorities: BTreeMap<String, String> = addresses::authorities(shop).into_iter().collect();
    if !authorities.is_empty() {
        maps.push(config_map(shop, names::SHOP_COMPONENT, names::store_authorities(&shop.name), authorities));
    }
    maps
}

/// For each service that others call, the share of its canary in percent.
fn shares(shop: &ValidShop) -> BTreeMap<String, String> {
    let called = shop.services.iter().filter(|service| service.service.grpc);
    let share = |service: &ValidService| service.canary.as_ref().map_or(0, Canary::share);
    called.map(|service| (service.service.name.to_owned(), share(service).to_string())).collect()
}

fn config_map(shop: &ValidShop, component: &str, name: String, files: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap { metadata: meta::metadata(shop, component, name), data: Some(files), ..ConfigMap::default() }
}
