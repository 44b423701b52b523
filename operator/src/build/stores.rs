//! The embedded stores: one StatefulSet with a volume each, and the trace store; and the clusters that other operators are
//! asked for. One file per store.

pub(super) mod cloud_native_pg;
pub(super) mod mongodb;
pub(super) mod postgres;
pub(super) mod rabbitmq;
pub(super) mod rabbitmq_cluster;
pub(super) mod redis;
pub(super) mod traces;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec,
    SecretVolumeSource, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::{self, Pod, read_only_mount};
use super::{Inputs, component_name, meta};
use crate::names::{self, DATA_VOLUME};
use crate::stores::Embedded;
use crate::validate::{ValidShop, image_version};

/// Name of the volume with the certificate, if the store has one, and where it is mounted.
const CERTIFICATE_VOLUME: &str = "certificate";
const CERTIFICATE_FOLDER: &str = "/etc/shopkeeper/certificate";
/// PostgreSQL takes a key of root's only if nobody but its own group may read it.
const KEY_MODE: i32 = 0o440;
/// A store gets this long to write what it has in memory.
const STOP_SECONDS: i64 = 60;

pub(super) fn stateful_sets(inputs: &Inputs<'_>) -> Vec<StatefulSet> {
    let made = [
        postgres::stateful_set(inputs),
        mongodb::stateful_set(inputs),
        redis::stateful_set(inputs),
        rabbitmq::stateful_set(inputs),
    ];
    made.into_iter().flatten().collect()
}

/// What differs between stores.
struct Parts<'a> {
    component: &'static str,
    store: &'a Embedded,
    /// Hash of what the pod reads at each of its starts.
    inputs: Option<String>,
    container: Container,
    volumes: Vec<Volume>,
}

fn stateful_set(inputs: &Inputs<'_>, mut parts: Parts<'_>) -> StatefulSet {
    let shop = inputs.shop;
    if parts.store.certificate.is_some() {
        parts.volumes.push(certificate_volume(shop, parts.component));
        let mounts = parts.container.volume_mounts.get_or_insert_default();
        mounts.push(read_only_mount(CERTIFICATE_VOLUME, CERTIFICATE_FOLDER));
    }
    let name = component_name(shop, parts.component);
    let version = image_version(&parts.store.image);
    StatefulSet {
        metadata: meta::versioned(shop, parts.component, name.clone(), &version),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::from(!shop.hibernated)),
            service_name: Some(name.clone()),
            selector: meta::selector(shop, parts.component),
            revision_history_limit: Some(3),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(parts.store.data_on_delete.policy().to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            volume_claim_templates: Some(vec![claim(inputs, parts.component, parts.store)]),
            template: template(shop, version, parts),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn template(shop: &ValidShop, version: String, parts: Parts<'_>) -> PodTemplateSpec {
    let mut template = pod::template(
        shop,
        Pod {
            component: parts.component,
            version,
            user: pod::STORE_USER,
            pull_policy: shop.store_pull_policy,
            inputs: parts.inputs,
            container: parts.container,
            volumes: parts.volumes,
            grace_seconds: STOP_SECONDS,
            restart_policy: None,
        },
    );
    if let (Some(metadata), Some(certificate)) = (&mut template.metadata, &parts.store.certificate) {
        let since = (names::CERTIFICATE_ANNOTATION.to_owned(), certificate.since.to_string());
        metadata.annotations.get_or_insert_default().extend([since]);
    }
    template
}

/// The template of a volume cannot change, so its labels have no version.
fn claim(inputs: &Inputs<'_>, component: &str, store: &Embedded) -> PersistentVolumeClaim {
    let request = BTreeMap::from([("storage".to_owned(), Quantity(store.volume.storage.clone()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA_VOLUME.to_owned()),
            labels: Some(names::selector(&inputs.shop.name, component)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: store.volume.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(request), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn certificate_volume(shop: &ValidShop, component: &str) -> Volume {
    let mut volume = secret_volume(CERTIFICATE_VOLUME, names::certificate(&shop.name, component));
    if let Some(secret) = &mut volume.secret {
        secret.default_mode = Some(KEY_MODE);
    }
    volume
}

/// Path of a file of the certificate.
fn certificate_file(name: &str) -> String {
    format!("{CERTIFICATE_FOLDER}/{name}")
}

fn secret_volume(name: &str, secret: String) -> Volume {
    let source = SecretVolumeSource { secret_name: Some(secret), ..SecretVolumeSource::default() };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

fn config_volume(name: &str, config_map: String) -> Volume {
    let source = ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() };
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

fn port(name: &str, number: i32) -> k8s_openapi::api::core::v1::ContainerPort {
    k8s_openapi::api::core::v1::ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    }
}
