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
    ConfigMapVolumeSource, Container, PersistentVolumeClaim, PersistentVolumeClaimSpec, SecretVolumeSource, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::{self, Pod};
use super::{Inputs, component_name, meta};
use crate::crd::DataOnDelete;
use crate::names;
use crate::stores::Embedded;
use crate::validate::image_version;

/// Name of the volume that outlives pods.
const DATA_VOLUME: &str = "data";
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
    /// Hash of what the pod reads at its start.
    inputs: String,
    container: Container,
    volumes: Vec<Volume>,
}

fn stateful_set(inputs: &Inputs<'_>, parts: Parts<'_>) -> StatefulSet {
    let shop = inputs.shop;
    let name = component_name(shop, parts.component);
    let version = image_version(&parts.store.image);
    let when_deleted = match shop.data_on_delete {
        DataOnDelete::Retain => "Retain",
        DataOnDelete::Delete => "Delete",
    };
    StatefulSet {
        metadata: meta::versioned(shop, parts.component, name.clone(), &version),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::from(!shop.hibernated)),
            service_name: Some(name.clone()),
            selector: meta::selector(shop, parts.component),
            revision_history_limit: Some(3),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            template: pod::template(
                shop,
                Pod {
                    component: parts.component,
                    version,
                    user: pod::STORE_USER,
                    pull_policy: shop.store_pull_policy,
                    inputs: Some(parts.inputs),
                    container: parts.container,
                    volumes: parts.volumes,
                    grace_seconds: STOP_SECONDS,
                    restart_policy: None,
                },
            ),
            volume_claim_templates: Some(vec![claim(inputs, parts.component, parts.store)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
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
