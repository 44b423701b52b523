//! Where the stores are, as the services are told: addresses with log-ins, and the authorities of their certificates.

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EnvVar, Volume, VolumeMount};

use super::component_name;
use super::pod::{read_only_mount, variable};
use super::secret::VHOST;
use super::stores::mongodb::ROOT_USER;
use super::stores::postgres::SUPERUSER;
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, Service};
use crate::names;
use crate::stores::{Login, Store};
use crate::validate::ValidShop;

/// Folder of the authorities, and the volume that they come from.
const FOLDER: &str = "/etc/shopkeeper/stores";
const VOLUME: &str = "stores";
/// The database in which MongoDB keeps its users.
const ADMIN_DATABASE: &str = "admin";
/// The clients of these take the file of the authority as a setting; for the others it is part of the address.
const CA_VARIABLES: [(&str, &str); 2] = [(REDIS, "SHOP_REDIS__CA_FILE"), (RABBITMQ, "SHOP_AMQP__CA_FILE")];

/// PostgreSQL, as one of a service's own users.
pub(super) fn postgres(shop: &ValidShop, service: &str, user: &str, password: &str) -> String {
    let (role, database) = (role(shop, service, user), role(shop, service, service));
    let address = |login: &Login| login.postgres(&role, password, &database, &authority_path(POSTGRES));
    shop.postgres.login().map_or_else(|| address(&ours(shop, POSTGRES, &shop.postgres, user, password)), address)
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

/// PostgreSQL, as whoever makes those roles; nothing as long as that is not known.
pub(super) fn postgres_admin(shop: &ValidShop) -> Option<String> {
    match &shop.postgres {
        Store::Embedded(_) => Some(postgres_superuser(shop, shop.credentials.postgres_superuser())),
        store => store.login().map(making_roles),
    }
}

/// The superuser of our own PostgreSQL.
fn postgres_superuser(shop: &ValidShop, password: &str) -> String {
    making_roles(&ours(shop, POSTGRES, &shop.postgres, SUPERUSER, password))
}

fn making_roles(login: &Login) -> String {
    let database = login.space.as_deref().unwrap_or("postgres");
    login.postgres(&login.username, &login.password, database, &authority_path(POSTGRES))
}

/// A store, as whoever makes its users with a password that is being replaced.
pub(super) fn former_admin(shop: &ValidShop, store: &str) -> Option<String> {
    let credentials = &shop.credentials;
    match (store, &shop.postgres) {
        (MONGODB, _) => credentials.former_mongodb_root().map(|password| mongodb_root(shop, password)),
        (POSTGRES, Store::Embedded(_)) => {
            credentials.former_postgres_superuser().map(|password| postgres_superuser(shop, password))
        }
        _ => None,
    }
}

/// `MongoDB`, as one of a service's own users, or as the one that a Secret names.
pub(super) fn mongodb(shop: &ValidShop, service: &str, user: &str, password: &str) -> String {
    let path = authority_path(MONGODB);
    let database = names::on_shared_server(&shop.namespace, &shop.name, service);
    let own = || ours(shop, MONGODB, &shop.mongodb, user, password);
    shop.mongodb.login().map_or_else(|| own().mongodb(service, &path), |login| login.mongodb(&database, &path))
}

/// `MongoDB`, as whoever makes those users.
pub(super) fn mongodb_admin(shop: &ValidShop) -> String {
    mongodb_root(shop, shop.credentials.mongodb_root())
}

fn mongodb_root(shop: &ValidShop, password: &str) -> String {
    let root = ours(shop, MONGODB, &shop.mongodb, ROOT_USER, password);
    root.mongodb(ADMIN_DATABASE, &authority_path(MONGODB))
}

/// Redis, as a service's user.
pub(super) fn redis(shop: &ValidShop, user: &str, password: &str) -> String {
    shop.redis.login().map_or_else(|| ours(shop, REDIS, &shop.redis, user, password).redis(), Login::redis)
}

/// RabbitMQ, as a service's user.
pub(super) fn amqp(shop: &ValidShop, user: &str, password: &str) -> String {
    let own = || Login { space: Some(VHOST.to_owned()), ..ours(shop, RABBITMQ, &shop.rabbitmq, user, password) };
    shop.rabbitmq.login().map_or_else(|| own().amqp(), Login::amqp)
}

/// How one of the users that we made gets into a store in the Shop's namespace.
fn ours(shop: &ValidShop, name: &str, store: &Store, user: &str, password: &str) -> Login {
    let authority = store.authority().map(str::to_owned);
    Login {
        server: format!("{}:{}", component_name(shop, name), store.port(name)),
        username: user.to_owned(),
        password: password.to_owned(),
        tls: authority.is_some(),
        authority,
        space: None,
        options: None,
    }
}

/// The files of authorities that there are, by name.
pub(super) fn authorities(shop: &ValidShop) -> Vec<(String, String)> {
    let with_one = |(store, found): (&str, &Store)| {
        found.authority().map(|authority| (names::authority_file(store), authority.to_owned()))
    };
    shop.stores().into_iter().filter_map(with_one).collect()
}

/// Whether a service checks a store's certificate against such an authority.
pub(super) fn checks(shop: &ValidShop, service: &Service) -> bool {
    shop.stores_of(service).any(|(_, store)| store.authority().is_some())
}

/// The files of authorities, for [`mount`].
pub(super) fn volume(shop: &ValidShop) -> Volume {
    let source =
        ConfigMapVolumeSource { name: names::store_authorities(&shop.name), ..ConfigMapVolumeSource::default() };
    Volume { name: VOLUME.to_owned(), config_map: Some(source), ..Volume::default() }
}

/// The file with a store's authority. The kubelet swaps the files of a folder while their readers run, and a file of its own it
/// leaves as it was when the container started: another authority is tried before pods that serve rely on it.
pub(super) fn mount(store: &str) -> VolumeMount {
    VolumeMount { sub_path: Some(names::authority_file(store)), ..read_only_mount(VOLUME, &authority_path(store)) }
}

/// The files that a service needs.
pub(super) fn mounts(shop: &ValidShop, service: &Service) -> impl Iterator<Item = VolumeMount> {
    shop.stores_of(service).filter(|(_, store)| store.authority().is_some()).map(|(store, _)| mount(store))
}

/// Variables with the files of authorities.
pub(super) fn env(shop: &ValidShop, service: &Service) -> Vec<EnvVar> {
    let stores = shop.stores_of(service).filter(|(_, found)| found.authority().is_some());
    let named = stores.filter_map(|(store, _)| CA_VARIABLES.iter().find(|(of, _)| *of == store));
    named.map(|(store, name)| variable(name, authority_path(store))).collect()
}

/// Where [`mount`] puts the file with a store's authority.
pub(super) fn authority_path(store: &str) -> String {
    format!("{FOLDER}/{}", names::authority_file(store))
}
