//! Configuration files: the public keys of access tokens, and the settings of the stores that read files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::stores::{rabbitmq, redis};
use super::{component_name, env, meta};
use crate::catalog::{RABBITMQ, REDIS};
use crate::names;
use crate::validate::ValidShop;

pub(super) fn build(shop: &ValidShop) -> Vec<ConfigMap> {
    let redis_conf = BTreeMap::from([(redis::CONFIG_FILE, redis::config())]);
    let rabbitmq_conf = BTreeMap::from([(rabbitmq::CONFIG_FILE, rabbitmq::config())]);
    vec![
        config_map(
            shop,
            "user",
            names::jwks(&shop.name),
            BTreeMap::from([(env::JWKS_FILE, shop.token_keys.published.clone())]),
        ),
        config_map(shop, REDIS, component_name(shop, REDIS), redis_conf),
        config_map(shop, RABBITMQ, component_name(shop, RABBITMQ), rabbitmq_conf),
    ]
}

fn config_map(shop: &ValidShop, component: &str, name: String, files: BTreeMap<&str, String>) -> ConfigMap {
    ConfigMap {
        metadata: meta::metadata(shop, component, name),
        data: Some(files.into_iter().map(|(file, content)| (file.to_owned(), content)).collect()),
        ..ConfigMap::default()
    }
}
