//! Secrets derived from the credentials: each pod gets its own, with nothing in it that another pod needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::stores::mongodb::{self, ROOT_USER};
use super::stores::redis::{ACL_FILE, KEEPER_PASSWORD, KEEPER_USER, PROBE_PASSWORDS, PROBE_USER};
use super::{addresses, component_name, hex, meta};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, Service};
use crate::crd::StoreMode;
use crate::credentials::Login;
use crate::identities::{Leaf, StoreLeaf};
use crate::names;
use crate::rotation::Stage;
use crate::stores::Store;
use crate::validate::ValidShop;

/// The virtual host of RabbitMQ in which everything happens.
pub(super) const VHOST: &str = "shop";
/// A salt and a digest that no password is known to have.
const NO_PASSWORD: [u8; 36] = [0; 36];
/// The key of the address with which migrations make users, and of the one with the password that it takes the place of.
pub(super) const ADMIN_URL: &str = "admin-url";
pub(super) const FORMER_ADMIN_URL: &str = "former-admin-url";
/// The file with users and permissions that RabbitMQ loads at start.
pub(super) const DEFINITIONS_FILE: &str = "definitions.json";

pub(super) fn build(shop: &ValidShop) -> Vec<Secret> {
    let services = shop.services.iter().map(|service| service.service).filter(|service| !service.stores.is_empty());
    // A Secret with addresses that are not known any more stays as it is.
    let known = services.filter(|service| shop.stores_of(service).all(|(_, store)| store.trouble().is_none()));
    let mut secrets: Vec<Secret> = known.map(|service| of_service(shop, service)).collect();
    secrets.push(signing(shop));
    secrets.extend(postgres(shop));
    secrets.extend((shop.mongodb.mode() == StoreMode::Embedded).then(|| mongodb(shop)));
    secrets.extend((shop.redis.mode() == StoreMode::Embedded).then(|| redis(shop)));
    secrets.extend((shop.rabbitmq.mode() != StoreMode::External).then(|| rabbitmq(shop)));
    secrets.extend([POSTGRES, MONGODB].into_iter().filter_map(|store| logins(shop, store)));
    secrets.extend(shop.users.admin_secret_name.is_none().then(|| admin(shop)));
    let identities = shop.credentials.identities().filter(|_| shop.mtls);
    secrets.extend(
        identities.map(|(service, leaf)| secret(shop, service, names::identity(&shop.name, service), leaf.data())),
    );
    secrets.extend(shop.stores().into_iter().filter_map(|(name, store)| certificate(shop, name, store)));
    secrets
}

/// What an embedded store proves who it is with.
fn certificate(shop: &ValidShop, name: &str, store: &Store) -> Option<Secret> {
    let data = certificate_data(name, store.certificate()?);
    Some(secret(shop, name, names::certificate(&shop.name, name), data))
}

/// What is stored in the Secret with a store's certificate.
pub(crate) fn certificate_data(store: &str, certificate: &StoreLeaf) -> BTreeMap<&'static str, String> {
    let mut data = certificate.data();
    if store == MONGODB {
        let Leaf { key, certificate, .. } = &certificate.leaf;
        data.insert(mongodb::KEY_AND_CERTIFICATE, format!("{key}{certificate}"));
    }
    data
}

/// Addresses of the stores that a service uses, as variables.
fn of_service(shop: &ValidShop, service: &Service) -> Secret {
    let name = service.name;
    let login = |store| shop.credentials.login(store, name);
    let mut data = BTreeMap::new();
    if service.uses(POSTGRES) {
        data.insert("SHOP_POSTGRES__URL", address(shop, POSTGRES, name, &login(POSTGRES)));
    }
    if service.uses(MONGODB) {
        data.insert("SHOP_MONGODB__URL", address(shop, MONGODB, name, &login(MONGODB)));
    }
    if service.uses(REDIS) {
        data.insert("SHOP_REDIS__URL", addresses::redis(shop, name, login(REDIS).password));
    }
    if service.uses(RABBITMQ) {
        let Login { user, password, .. } = login(RABBITMQ);
        data.insert("SHOP_AMQP__URL", addresses::amqp(shop, &user, password));
    }
    secret(shop, name, component_name(shop, name), data)
}

/// A database, as one of the users that migrations make.
fn address(shop: &ValidShop, store: &str, service: &str, Login { user, password, .. }: &Login<'_>) -> String {
    match store {
        MONGODB => addresses::mongodb(shop, service, user, password),
        _ => addresses::postgres(shop, service, user, password),
    }
}

/// Every log-in of a generation that came after the first one, for the migration that makes it known.
fn logins(shop: &ValidShop, store: &str) -> Option<Secret> {
    let services = shop.services.iter().map(|service| service.service);
    let services = services.filter(|service| shop.store_of_logins(service) == Some(store));
    let logins = services.flat_map(|Service { name, .. }| {
        let logins = shop.credentials.logins(store, name).into_iter().filter(|login| login.generation > 0);
        logins.map(move |login| (login_key(name, login.generation), address(shop, store, name, &login)))
    });
    let data: BTreeMap<String, String> = logins.collect();
    (!data.is_empty()).then(|| secret(shop, store, names::logins(&shop.name, store), data))
}

/// The key of a log-in. It is never another one's, so a migration cannot start with what was there before.
pub(super) fn login_key(service: &str, generation: u32) -> String {
    format!("{service}.{generation}")
}

/// With what migrations make roles and databases; where the server is ours, its superuser's password too.
fn postgres(shop: &ValidShop) -> Option<Secret> {
    let mut data = BTreeMap::from([(ADMIN_URL, addresses::postgres_admin(shop)?)]);
    data.extend(addresses::former_admin(shop, POSTGRES).map(|url| (FORMER_ADMIN_URL, url)));
    if shop.postgres.mode() == StoreMode::Embedded {
        data.insert("password", shop.credentials.postgres_superuser().to_owned());
    }
    Some(secret(shop, POSTGRES, component_name(shop, POSTGRES), data))
}

/// The root user, for the first start of the server and for the migration that makes users.
fn mongodb(shop: &ValidShop) -> Secret {
    let mut data = BTreeMap::from([
        (ADMIN_URL, addresses::mongodb_admin(shop)),
        ("username", ROOT_USER.to_owned()),
        ("password", shop.credentials.mongodb_root().to_owned()),
    ]);
    data.extend(addresses::former_admin(shop, MONGODB).map(|url| (FORMER_ADMIN_URL, url)));
    secret(shop, MONGODB, component_name(shop, MONGODB), data)
}

/// A user of Redis.
struct RedisUser {
    name: &'static str,
    /// Their hashes.
    passwords: String,
    rights: String,
}

/// The users of Redis, what the kubelet and the keeper show, and during a rotation what a running server is told.
fn redis(shop: &ValidShop) -> Secret {
    let (users, probe) = (redis_users(shop), shop.credentials.redis_probe());
    let mut data = BTreeMap::from([
        (ACL_FILE.to_owned(), acl(&users)),
        // Both: the kubelet may give the pod a new file when the server no longer takes the old one.
        (PROBE_PASSWORDS.to_owned(), probe.known().flat_map(|password| [password, "\n"]).collect()),
        (KEEPER_PASSWORD.to_owned(), shop.credentials.redis_keeper().in_use.to_owned()),
    ]);
    let told = |user: &RedisUser| format!("ACL SETUSER {} resetpass {}", user.name, user.passwords);
    let lines: Vec<String> = users.iter().map(told).collect();
    data.extend(passwords_key(shop).map(|key| (key, lines.join("\n"))));
    secret(shop, REDIS, component_name(shop, REDIS), data)
}

/// What Redis reads at its start besides passwords: those it is told while it runs.
pub(super) fn redis_users_without_passwords(shop: &ValidShop) -> String {
    let blank = redis_users(shop).into_iter().map(|user| RedisUser { passwords: String::new(), ..user });
    acl(&blank.collect::<Vec<_>>())
}

/// One user per service limited to its key prefix, one for the kubelet, and one that tells the server other passwords.
fn redis_users(shop: &ValidShop) -> Vec<RedisUser> {
    let (probe, keeper) = (shop.credentials.redis_probe(), shop.credentials.redis_keeper());
    let mut users = vec![
        RedisUser::new(PROBE_USER, probe.known(), "-@all +ping"),
        RedisUser::new(KEEPER_USER, keeper.known(), "-@all +acl|setuser"),
    ];
    let services = shop.services.iter().map(|service| service.service).filter(|service| service.uses(REDIS));
    users.extend(services.map(|service| {
        let (name, logins) = (service.name, shop.credentials.logins(REDIS, service.name));
        let rights = format!("~{name}:* &{name}:* +@all -@admin -@dangerous");
        RedisUser::new(name, logins.into_iter().map(|login| login.password), rights)
    }));
    users
}

impl RedisUser {
    fn new<'a>(name: &'static str, passwords: impl Iterator<Item = &'a str>, rights: impl Into<String>) -> Self {
        let hashes: Vec<String> = passwords.map(|password| format!("#{}", sha256(password))).collect();
        Self { name, passwords: hashes.join(" "), rights: rights.into() }
    }
}

/// The file of users: nobody else gets in. A server that starts reads its append-only file as the default user, and before
/// redis/redis#14545 it drops every transaction in it that this one may not make, which is all that a script wrote.
fn acl(users: &[RedisUser]) -> String {
    let line = |RedisUser { name, passwords, rights }: &RedisUser| format!("user {name} on {passwords} {rights}\n");
    ["user default off ~* &* +@all\n".to_owned()].into_iter().chain(users.iter().map(line)).collect()
}

/// The key under which a running Redis finds the passwords of this stage of a rotation, while there is one.
pub(super) fn passwords_key(shop: &ValidShop) -> Option<String> {
    let rotation = shop.credentials.rotation();
    (rotation.stage != Stage::Settled).then(|| format!("passwords.{}.{:?}", rotation.generation, rotation.stage))
}

/// RabbitMQ users: one per service, with rights to its own queues and the two exchanges.
fn rabbitmq(shop: &ValidShop) -> Secret {
    let services = || shop.services.iter().map(|service| service.service).filter(|service| service.uses(RABBITMQ));
    let logins = |service: &'static Service| shop.credentials.logins(RABBITMQ, service.name);
    let known = services().flat_map(logins).map(|login| (login.user, rabbitmq_hash(login.password)));
    // A user that is no longer mentioned would stay as it was.
    let retired = services().filter_map(|service| shop.credentials.retired(service.name));
    let retired = retired.map(|user| (user, STANDARD.encode(NO_PASSWORD)));
    // By name: which of two users is in use is nothing that a server would have to start anew for.
    let users: BTreeMap<String, String> = known.chain(retired).collect();
    let permissions: BTreeMap<String, Value> = services()
        .flat_map(|service| {
            let own = format!(r"^(order_events|product_events|{}\..*)$", service.name);
            logins(service).into_iter().map(move |Login { user, .. }| {
                let permission = json!({"user": user, "vhost": VHOST, "configure": own, "write": own, "read": own});
                (user, permission)
            })
        })
        .collect();
    // Each look at a dead letter is a delivery to the broker, and RabbitMQ 4 drops a message after twenty of them.
    let looks = json!({
        "vhost": VHOST, "name": "dead-letters", "pattern": r"\.events\.dead$", "apply-to": "queues", "priority": 0,
        "definition": {"delivery-limit": 1_000_000},
    });
    let definitions = json!({
        "vhosts": [{"name": VHOST}],
        "users": users.iter().map(|(user, hash)| rabbitmq_user(user, hash)).collect::<Vec<_>>(),
        "permissions": permissions.into_values().collect::<Vec<_>>(),
        "policies": [looks],
    });
    let data = BTreeMap::from([(DEFINITIONS_FILE, definitions.to_string())]);
    let name = component_name(shop, RABBITMQ);
    let mut secret = secret(shop, RABBITMQ, name.clone(), data);
    if shop.rabbitmq.mode() == StoreMode::ClusterOperator {
        // A cluster that outlives the Shop reads its users again whenever a node starts.
        secret.metadata = meta::of_data(shop, RABBITMQ, name);
    }
    secret
}

fn rabbitmq_user(name: &str, password_hash: &str) -> Value {
    json!({
        "name": name,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    })
}

/// The first admin's log-in, for people and for the user service.
fn admin(shop: &ValidShop) -> Secret {
    let data =
        BTreeMap::from([("email", shop.admin_email.clone()), ("password", shop.credentials.first_admin().to_owned())]);
    secret(shop, "user", names::admin(&shop.name), data)
}

fn signing(shop: &ValidShop) -> Secret {
    secret(shop, "user", names::signing(&shop.name), shop.token_keys.private.clone())
}

fn secret<K: Into<String>>(shop: &ValidShop, component: &str, name: String, data: BTreeMap<K, String>) -> Secret {
    let encode = |(key, value): (K, String)| (key.into(), ByteString(value.into_bytes()));
    Secret {
        metadata: meta::metadata(shop, component, name),
        data: Some(data.into_iter().map(encode).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// RabbitMQ's salted hash: base64(salt + sha256(salt + password)). The salt comes from the password, so that the same
/// password gives the same definitions and nothing rolls.
fn rabbitmq_hash(password: &str) -> String {
    let salt = &Sha256::digest(format!("salt:{password}"))[..4];
    let hash = Sha256::digest([salt, password.as_bytes()].concat());
    STANDARD.encode([salt, &hash[..]].concat())
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rabbitmq_hash_is_its_salt_and_the_salted_digest() {
        let hash = STANDARD.decode(rabbitmq_hash("acorn")).expect("base64");
        let (salt, digest) = hash.split_at(4);
        assert_eq!(digest, &Sha256::digest([salt, b"acorn"].concat())[..]);
        assert_eq!(rabbitmq_hash("acorn"), rabbitmq_hash("acorn"));
        assert_ne!(rabbitmq_hash("acorn"), rabbitmq_hash("oak"));
    }
}
