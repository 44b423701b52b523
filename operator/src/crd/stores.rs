//! The stores of a Shop.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where one store of the Shop lives.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.embedded)").message(
    "say where the store lives: `embedded: {}` is one that the operator runs, the only kind there is in this version"
))]
#[serde(rename_all = "camelCase")]
pub struct StoreSpec {
    /// A single instance with a volume, made and run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self { embedded: Some(EmbeddedStore::default()) }
    }
}

/// A store that the operator runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new(
    "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
).message("storageClassName cannot change once the store exists, because its volume is of that class"))]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedStore {
    /// Size of the volume. It cannot change once the store exists.
    #[serde(default = "default_storage")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]*(Mi|Gi|Ti)$')").message(
        "storage is a whole number of Mi, Gi or Ti, for example 10Gi"
    ))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "storage cannot change once the store exists; expand its PersistentVolumeClaim instead"
    ))]
    pub storage: String,

    /// Class of the volume. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

impl Default for EmbeddedStore {
    fn default() -> Self {
        Self { storage: default_storage(), storage_class_name: None }
    }
}

fn default_storage() -> String {
    "1Gi".to_owned()
}
