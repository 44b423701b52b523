//! Stores that others run: their addresses, and the authorities of their certificates. Every function answers with nothing
//! for a store that this operator runs.

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EnvVar, Volume, VolumeMount};

use super::pod::{read_only_mount, variable};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, Service};
use crate::names;
use crate::stores::Store;
use crate::validate::ValidShop;

/// Folder of the authorities.
const FOLDER: &str = "/etc/shopkeeper/stores";
/// The clients of these take the file of the authority as a setting; for the others it is part of the address.
const CA_VARIABLES: [(&str, &str); 2] = [(REDIS, "SHOP_REDIS__CA_FILE"), (RABBITMQ, "SHOP_AMQP__CA_FILE")];

/// PostgreSQL, as one of a service's own users.
pub(super) fn postgres(shop: &ValidShop, service: &str, user: &str, password: &str) -> Option<String> {
    let login = shop.postgres.login()?;
    Some(login.postgres(&role(shop, service, user), password, &role(shop, service, service), &path(POSTGRES)))
}

/// What a service's user is called at PostgreSQL: where other Shops may be too, it is told from theirs. The role of the service
/// itself owns its database, which has the same name.
pub(super) fn role(shop: &ValidShop, service: &str, user: &str) -> String {
    let turn = user.strip_prefix(service).unwrap_or_default();
    match &shop.postgres {
        Store::External(_) => format!("{}{turn}", names::on_shared_server(&shop.namespace, &shop.name, service)),
        _ => user.to_owned(),
    }
}

/// PostgreSQL, as whoever makes those roles.
pub(super) fn postgres_admin(shop: &ValidShop) -> Option<String> {
    let login = shop.postgres.login()?;
    let database = login.space.as_deref().unwrap_or("postgres");
    Some(login.postgres(&login.username, &login.password, database, &path(POSTGRES)))
}

/// `MongoDB`.
pub(super) fn mongodb(shop: &ValidShop, service: &str) -> Option<String> {
    let database = names::on_shared_server(&shop.namespace, &shop.name, service);
    Some(shop.mongodb.login()?.mongodb(&database, &path(MONGODB)))
}

/// Redis.
pub(super) fn redis(shop: &ValidShop) -> Option<String> {
    Some(shop.redis.login()?.redis())
}

/// RabbitMQ.
pub(super) fn amqp(shop: &ValidShop) -> Option<String> {
    Some(shop.rabbitmq.login()?.amqp())
}

/// The files of authorities that there are, by name.
pub(super) fn authorities(shop: &ValidShop) -> Vec<(&'static str, String)> {
    let with_one = |(store, found): (&'static str, &Store)| Some((file(store), found.login()?.authority.clone()?));
    shop.stores().into_iter().filter_map(with_one).collect()
}

/// Whether a service checks a store's certificate against such an authority.
pub(super) fn checks(shop: &ValidShop, service: &Service) -> bool {
    shop.stores_of(service).any(|(_, store)| store.login().is_some_and(|login| login.authority.is_some()))
}

/// Where the authorities appear in the service.
pub(super) fn volume(shop: &ValidShop) -> (Volume, VolumeMount) {
    let source =
        ConfigMapVolumeSource { name: names::store_authorities(&shop.name), ..ConfigMapVolumeSource::default() };
    let volume = Volume { name: "stores".to_owned(), config_map: Some(source), ..Volume::default() };
    (volume, read_only_mount("stores", FOLDER))
}

/// Variables with the files of authorities.
pub(super) fn env(shop: &ValidShop, service: &Service) -> Vec<EnvVar> {
    let stores =
        shop.stores_of(service).filter(|(_, found)| found.login().is_some_and(|login| login.authority.is_some()));
    let named = stores.filter_map(|(store, _)| CA_VARIABLES.iter().find(|(of, _)| *of == store));
    named.map(|(store, name)| variable(name, path(store))).collect()
}

fn path(store: &str) -> String {
    format!("{FOLDER}/{}", file(store))
}

fn file(store: &str) -> &'static str {
    match store {
        POSTGRES => "postgres.crt",
        MONGODB => "mongodb.crt",
        REDIS => "redis.crt",
        _ => "rabbitmq.crt",
    }
}
