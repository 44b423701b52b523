//! Configuration files: the public keys of access tokens, and the settings of the stores that read files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::stores::{rabbitmq, redis};
use super::{component_name, elsewhere, env, meta};
use crate::catalog::{RABBITMQ, REDIS};
use crate::crd::StoreMode;
use crate::names;
use crate::validate::ValidShop;

pub(super) fn build(shop: &ValidShop) -> Vec<ConfigMap> {
    let mut maps = vec![config_map(
        shop,
        "user",
        names::jwks(&shop.name),
        BTreeMap::from([(env::JWKS_FILE, shop.token_keys.published.clone())]),
    )];
    if shop.redis.mode() == StoreMode::Embedded {
        let files = BTreeMap::from([(redis::CONFIG_FILE, redis::config())]);
        maps.push(config_map(shop, REDIS, component_name(shop, REDIS), files));
    }
    if shop.rabbitmq.mode() == StoreMode::Embedded {
        let files = BTreeMap::from([(rabbitmq::CONFIG_FILE, rabbitmq::config())]);
        maps.push(config_map(shop, RABBITMQ, component_name(shop, RABBITMQ), files));
    }
    let authorities: BTreeMap<&str, String> = elsewhere::authorities(shop).into_iter().collect();
    if !authorities.is_empty() {
        maps.push(config_map(shop, names::SHOP_COMPONENT, names::store_authorities(&shop.name), authorities));
    }
    maps
}

fn config_map(shop: &ValidShop, component: &str, name: String, files: BTreeMap<&str, String>) -> ConfigMap {
    ConfigMap {
        metadata: meta::metadata(shop, component, name),
        data: Some(files.into_iter().map(|(file, content)| (file.to_owned(), content)).collect()),
        ..ConfigMap::default()
    }
}
