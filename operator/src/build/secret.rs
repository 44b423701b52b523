//! Secrets derived from the credentials: each pod gets its own, with nothing in it that another pod needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::stores::mongodb::ROOT_USER;
use super::stores::redis::{ACL_FILE, PROBE_USER};
use super::{component_name, env, hex, meta};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, Service};
use crate::names;
use crate::validate::ValidShop;

/// The virtual host of RabbitMQ in which everything happens.
const VHOST: &str = "shop";
/// The file with users and permissions that RabbitMQ loads at start.
pub(super) const DEFINITIONS_FILE: &str = "definitions.json";

pub(super) fn build(shop: &ValidShop) -> Vec<Secret> {
    let services = shop.services.iter().map(|service| service.service).filter(|service| !service.stores.is_empty());
    let mut secrets: Vec<Secret> = services.map(|service| of_service(shop, service)).collect();
    secrets.extend([postgres(shop), mongodb(shop), redis(shop), rabbitmq(shop), signing(shop)]);
    secrets.extend(shop.users.admin_secret_name.is_none().then(|| admin(shop)));
    let identities = shop.credentials.identities();
    secrets.extend(
        identities.map(|(service, leaf)| secret(shop, service, names::identity(&shop.name, service), leaf.data())),
    );
    secrets
}

/// Addresses of the stores that a service uses, as variables.
fn of_service(shop: &ValidShop, service: &Service) -> Secret {
    let name = service.name;
    let password = |store| shop.credentials.of(store, name);
    let host = |store| component_name(shop, store);
    let mut data = BTreeMap::new();
    if service.uses(POSTGRES) {
        let url = format!("postgres://{name}:{}@{}:5432/{name}", password(POSTGRES), host(POSTGRES));
        data.insert("SHOP_POSTGRES__URL", url);
    }
    if service.uses(MONGODB) {
        let root = shop.credentials.mongodb_root();
        let url = format!("mongodb://{ROOT_USER}:{root}@{}:27017/{name}?authSource=admin", host(MONGODB));
        data.insert("SHOP_MONGODB__URL", url);
    }
    if service.uses(REDIS) {
        data.insert("SHOP_REDIS__URL", format!("redis://{name}:{}@{}:6379/0", password(REDIS), host(REDIS)));
    }
    if service.uses(RABBITMQ) {
        let url = format!("amqp://{name}:{}@{}:5672/{VHOST}", password(RABBITMQ), host(RABBITMQ));
        data.insert("SHOP_AMQP__URL", url);
    }
    secret(shop, name, component_name(shop, name), data)
}

fn postgres(shop: &ValidShop) -> Secret {
    let password = shop.credentials.postgres_superuser();
    let url = format!("postgres://postgres:{password}@{}:5432/postgres", component_name(shop, POSTGRES));
    let data = BTreeMap::from([("password", password.to_owned()), ("admin-url", url)]);
    secret(shop, POSTGRES, component_name(shop, POSTGRES), data)
}

fn mongodb(shop: &ValidShop) -> Secret {
    let data =
        BTreeMap::from([("username", ROOT_USER.to_owned()), ("password", shop.credentials.mongodb_root().to_owned())]);
    secret(shop, MONGODB, component_name(shop, MONGODB), data)
}

/// Redis users: nobody by default, one per service limited to its key prefix, one for the kubelet.
fn redis(shop: &ValidShop) -> Secret {
    let probe = shop.credentials.redis_probe();
    let mut acl = vec!["user default off".to_owned(), format!("user {PROBE_USER} on #{} -@all +ping", sha256(probe))];
    for service in shop.services.iter().map(|service| service.service).filter(|service| service.uses(REDIS)) {
        let (name, password) = (service.name, shop.credentials.of(REDIS, service.name));
        acl.push(format!("user {name} on #{} ~{name}:* &{name}:* +@all -@admin -@dangerous", sha256(password)));
    }
    acl.push(String::new());
    let data = BTreeMap::from([(ACL_FILE, acl.join("\n")), ("probe-password", probe.to_owned())]);
    secret(shop, REDIS, component_name(shop, REDIS), data)
}

/// RabbitMQ users: one per service, with rights to its own queues and the two exchanges.
fn rabbitmq(shop: &ValidShop) -> Secret {
    let services = || shop.services.iter().map(|service| service.service).filter(|service| service.uses(RABBITMQ));
    let users = services().map(|service| {
        json!({
            "name": service.name,
            "password_hash": rabbitmq_hash(shop.credentials.of(RABBITMQ, service.name)),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
        })
    });
    let permissions = services().map(|service| {
        let own = format!(r"^(order_events|product_events|{}\..*)$", service.name);
        json!({"user": service.name, "vhost": VHOST, "configure": own, "write": own, "read": own})
    });
    // Each look at a dead letter is a delivery to the broker, and RabbitMQ 4 drops a message after twenty of them.
    let looks = json!({
        "vhost": VHOST, "name": "dead-letters", "pattern": r"\.events\.dead$", "apply-to": "queues", "priority": 0,
        "definition": {"delivery-limit": 1_000_000},
    });
    let definitions = json!({
        "vhosts": [{"name": VHOST}],
        "users": users.collect::<Vec<_>>(),
        "permissions": permissions.collect::<Vec<_>>(),
        "policies": [looks],
    });
    let data = BTreeMap::from([(DEFINITIONS_FILE, definitions.to_string())]);
    secret(shop, RABBITMQ, component_name(shop, RABBITMQ), data)
}

/// The first admin's log-in, for people and for the user service.
fn admin(shop: &ValidShop) -> Secret {
    let data =
        BTreeMap::from([("email", shop.admin_email.clone()), ("password", shop.credentials.first_admin().to_owned())]);
    secret(shop, "user", names::admin(&shop.name), data)
}

fn signing(shop: &ValidShop) -> Secret {
    let data = BTreeMap::from([(env::SIGNING_FILE, shop.signing.pem.clone())]);
    secret(shop, "user", names::signing(&shop.name), data)
}

fn secret(shop: &ValidShop, component: &str, name: String, data: BTreeMap<&str, String>) -> Secret {
    let encode = |(key, value): (&str, String)| (key.to_owned(), ByteString(value.into_bytes()));
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
