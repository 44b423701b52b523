//! A PostgreSQL cluster that CloudNativePG runs. Databases and roles are made by migrations, as everywhere, which log in as
//! the superuser that CloudNativePG makes a Secret for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::build::{component_name, meta};
use crate::catalog::POSTGRES;
use crate::kinds::{HIBERNATION, PostgresCluster, PostgresClusterSpec, PostgresSettings, PostgresStorage};
use crate::stores::Store;
use crate::validate::ValidShop;

/// What CloudNativePG is asked for; nothing where it would not be understood.
pub(crate) fn cluster(shop: &ValidShop) -> Option<PostgresCluster> {
    let Store::CloudNativePg { wanted, installed: true, .. } = &shop.postgres else { return None };
    let mut metadata = meta::of_data(shop, POSTGRES, component_name(shop, POSTGRES));
    let asleep = if shop.hibernated { "on" } else { "off" };
    metadata.annotations = Some(BTreeMap::from([(HIBERNATION.to_owned(), asleep.to_owned())]));
    let amount = |key: &str, value: &str| (key.to_owned(), Quantity(value.to_owned()));
    let spec = PostgresClusterSpec {
        instances: wanted.instances,
        enable_superuser_access: true,
        storage: PostgresStorage { size: wanted.storage.clone(), storage_class: wanted.storage_class_name.clone() },
        postgresql: PostgresSettings { parameters: BTreeMap::from([("max_connections".to_owned(), "200".to_owned())]) },
        resources: ResourceRequirements {
            requests: Some(BTreeMap::from([amount("cpu", "100m"), amount("memory", "256Mi")])),
            ..ResourceRequirements::default()
        },
    };
    Some(PostgresCluster { metadata, spec, status: None })
}
