//! Pure: from a [`ValidShop`] to every object it needs. One file per kind or concern; `stores` has one per store.

mod addresses;
mod autoscaler;
mod config_map;
mod deployment;
mod env;
mod http_route;
mod ingress;
mod meta;
mod migration;
mod network_policy;
mod pod;
mod secret;
mod service;
mod stores;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use sha2::{Digest, Sha256};

pub(crate) use self::deployment::PROGRESS_DEADLINE;
pub(crate) use self::http_route::former as former_http_route;
pub(crate) use self::ingress::former as former_ingress;
pub(crate) use self::secret::certificate_data;
pub(crate) use self::service::of_routed_canaries;
use crate::names;
use crate::objects::{Desired, Objects};
use crate::validate::{ValidService, ValidShop};

/// What builders of pods read: the Shop, and the hashes of what pods take in at start.
struct Inputs<'a> {
    shop: &'a ValidShop,
    hashes: BTreeMap<String, String>,
}

/// Builds everything a Shop needs.
#[must_use]
pub fn build(shop: &ValidShop) -> Objects<Desired> {
    let secrets = secret::build(shop);
    let config_maps = config_map::build(shop);
    let inputs = Inputs::of(shop, &secrets, &config_maps);
    let budgets = |s: &_| deployment::disruption_budget(shop, s);
    let pod_disruption_budgets: Vec<PodDisruptionBudget> = shop.services.iter().filter_map(budgets).collect();
    let services = shop.services.iter().cloned().chain(shop.canaries());
    Objects {
        service_accounts: meta::service_accounts(shop),
        stateful_sets: stores::stateful_sets(&inputs),
        postgres_clusters: stores::cloud_native_pg::cluster(shop).into_iter().collect(),
        rabbitmq_clusters: stores::rabbitmq_cluster::cluster(&inputs).into_iter().collect(),
        jobs: jobs(&inputs),
        deployments: services.map(|s| deployment::build(&inputs, &s)).chain(stores::traces::deployment(shop)).collect(),
        horizontal_pod_autoscalers: shop.services.iter().filter_map(|s| autoscaler::build(shop, s)).collect(),
        services: service::build(shop),
        pod_disruption_budgets,
        network_policies: network_policy::build(shop),
        ingresses: ingress::build(shop).into_iter().collect(),
        http_routes: http_route::build(shop).into_iter().collect(),
        secrets,
        config_maps,
        stage: PhantomData,
    }
}

/// Builds the Deployments of services that may have other images than the Shop gives them.
pub(crate) fn deployments(shop: &ValidShop, services: &[ValidService]) -> Vec<Deployment> {
    let inputs = Inputs::of(shop, &secret::build(shop), &config_map::build(shop));
    services.iter().map(|service| deployment::build(&inputs, service)).collect()
}

fn jobs(inputs: &Inputs<'_>) -> Vec<Job> {
    let shop = inputs.shop;
    let migrating = shop.services.iter().filter(|service| shop.has_migration(service.service));
    let mut jobs: Vec<Job> =
        migrating.flat_map(|service| migration::jobs(inputs, service)).chain(stores::redis::users_job(shop)).collect();
    let of_canaries = shop.canaries().filter(|service| shop.has_migration(service.service));
    for mut job in of_canaries.flat_map(|service| migration::jobs(inputs, &service)) {
        // A canary of the image that is there already has its migration.
        if jobs.iter().all(|other| other.metadata.name != job.metadata.name) {
            meta::mark(&mut job.metadata);
            jobs.push(job);
        }
    }
    jobs
}

impl<'a> Inputs<'a> {
    fn of(shop: &'a ValidShop, secrets: &[Secret], config_maps: &[ConfigMap]) -> Self {
        let mut hashes = hashes(secrets, config_maps);
        hashes.extend(shop.given.clone());
        Self { shop, hashes }
    }

    /// One hash over the named Secrets and `ConfigMap`s, for an annotation that makes pods follow their content.
    fn hash(&self, names: &[String]) -> String {
        let known: Vec<&str> = names.iter().filter_map(|name| self.hashes.get(name)).map(String::as_str).collect();
        short_hash(known.join(" ").as_bytes())
    }
}

/// The start of a SHA-256, enough to notice a change and short enough for a name.
pub(crate) fn short_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..5])
}

/// Bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hashes(secrets: &[Secret], config_maps: &[ConfigMap]) -> BTreeMap<String, String> {
    let secrets = secrets.iter().map(|secret| (&secret.metadata.name, format!("{:?}", secret.data)));
    let config_maps = config_maps.iter().map(|map| (&map.metadata.name, format!("{:?}", map.data)));
    let mut contents: BTreeMap<String, String> = BTreeMap::new();
    for (name, content) in secrets.chain(config_maps) {
        // The Secret and the ConfigMap of a store have the same name, and its pod reads both.
        contents.entry(name.clone().unwrap_or_default()).or_default().push_str(&content);
    }
    contents.into_iter().map(|(name, content)| (name, short_hash(content.as_bytes()))).collect()
}

/// Owned strings from literals, which is what the Kubernetes types want everywhere.
fn strings<const N: usize>(items: [&str; N]) -> Vec<String> {
    items.map(str::to_owned).into()
}

/// Name of a component's object of this Shop.
fn component_name(shop: &ValidShop, component: &str) -> String {
    names::component(&shop.name, component)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kube::api::ObjectMeta;

    use super::*;

    #[test]
    fn a_store_follows_its_secret_and_its_configuration_also_under_one_name() {
        let metadata = || ObjectMeta { name: Some("acorn-redis".to_owned()), ..ObjectMeta::default() };
        let hash = |password: &str, setting: &str| {
            let password = BTreeMap::from([("password".to_owned(), ByteString(password.into()))]);
            let setting = BTreeMap::from([("redis.conf".to_owned(), setting.to_owned())]);
            let secret = Secret { metadata: metadata(), data: Some(password), ..Secret::default() };
            let config_map = ConfigMap { metadata: metadata(), data: Some(setting), ..ConfigMap::default() };
            hashes(&[secret], &[config_map])
        };
        assert_eq!(hash("oak", "dir /data"), hash("oak", "dir /data"));
        assert_ne!(hash("oak", "dir /data"), hash("elm", "dir /data"));
        assert_ne!(hash("oak", "dir /data"), hash("oak", "dir /"));
    }
}
