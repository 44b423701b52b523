//! The stores of a Shop, and the ways in which each can be had.
//!
//! Each is a union: exactly one field says where the store lives. Which one cannot change, because data does not move by
//! itself; what is inside it can, where the store allows it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataOnDelete, SECRET_HELP, SECRET_RULE};

/// What the API server answers to a Shop that changes where a store lives.
const MOVED_HELP: &str = "where a store lives cannot change once the Shop exists, because its data would stay behind; make another Shop and move the data to it";
const CLASS_RULE: &str = "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)";
const CLASS_HELP: &str = "storageClassName cannot change once the store exists, because its volume is of that class";
const STORAGE_RULE: &str = "self.matches('^[1-9][0-9]*(Mi|Gi|Ti)$')";
const STORAGE_HELP: &str = "storage is a whole number of Mi, Gi or Ti, for example 10Gi";
const GROWTH_RULE: &str = "!isQuantity(self) || quantity(self).compareTo(quantity(oldSelf)) >= 0";
const GROWTH_HELP: &str = "storage can only grow, because a volume does not shrink";

/// Where PostgreSQL lives: exactly one of `embedded`, `cloudNativePG` and `external`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.embedded), has(self.cloudNativePG), has(self.external)].exists_one(given, given)").message(
    "postgres has exactly one of `embedded: {}` (the operator runs it), `cloudNativePG: {}` (CloudNativePG runs it) and `external: {secretName: ...}` (it is there)"
))]
#[x_kube(validation = Rule::new(
    "has(self.embedded) == has(oldSelf.embedded) && has(self.cloudNativePG) == has(oldSelf.cloudNativePG) && has(self.external) == has(oldSelf.external)"
).message(MOVED_HELP))]
#[serde(rename_all = "camelCase")]
pub struct PostgresSpec {
    /// A single instance with a volume, made and run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,

    /// A `Cluster` of the CloudNativePG operator, which must be installed. Its name is `<shop>-postgres`.
    #[serde(rename = "cloudNativePG", default, skip_serializing_if = "Option::is_none")]
    pub cloud_native_pg: Option<CloudNativePgStore>,

    /// A server that is there already. Keys of the Secret: `host`; `username` and `password` of a role that may create roles
    /// and databases; `port`, if it is not 5432; `database`, if that role does not connect to `postgres`; `tls`, either
    /// `verify` (the default: the certificate must be for `host`) or `none`; `ca.crt`, the authority of the certificate, if
    /// it is not a public one. Each service gets a role and a database of its own, both called
    /// `<shop>-<service>-<hash of namespace and shop>`, so Shops of one cluster can share a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStore>,
}

/// Where MongoDB lives: exactly one of `embedded` and `external`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.embedded) != has(self.external)").message(
    "mongodb has exactly one of `embedded: {}` (the operator runs it) and `external: {secretName: ...}` (it is there)"
))]
#[x_kube(validation = Rule::new("has(self.embedded) == has(oldSelf.embedded) && has(self.external) == has(oldSelf.external)").message(MOVED_HELP))]
#[serde(rename_all = "camelCase")]
pub struct MongodbSpec {
    /// A single instance with a volume, made and run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,

    /// A server or replica set that is there already. Keys of the Secret: `host`, or several separated by commas, each with
    /// its port if that is not 27017; `username` and `password` of a user with the role `readWrite` on the database;
    /// `database`, by default `<shop>-user-<hash of namespace and shop>`; `options`, the query part of a connection string,
    /// by default `authSource=admin`; `tls` and `ca.crt` as for PostgreSQL. `mongodb+srv` is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStore>,
}

/// Where Redis lives: exactly one of `embedded` and `external`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.embedded) != has(self.external)").message(
    "redis has exactly one of `embedded: {}` (the operator runs it) and `external: {secretName: ...}` (it is there)"
))]
#[x_kube(validation = Rule::new("has(self.embedded) == has(oldSelf.embedded) && has(self.external) == has(oldSelf.external)").message(MOVED_HELP))]
#[serde(rename_all = "camelCase")]
pub struct RedisSpec {
    /// A single instance with a volume, made and run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,

    /// A server that is there already. It should keep what it has (`appendonly yes`, `maxmemory-policy noeviction`): carts
    /// are data. Keys of the Secret: `host`; `username` and `password` of a user that may use the keys `cart:*` and `user:*`
    /// (the user is `default` where none is given); `port`, if it is not 6379; `database`, a number, by default 0, which no
    /// other Shop may use; `tls` and `ca.crt` as for PostgreSQL. Redis Cluster is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStore>,
}

/// Where RabbitMQ lives: exactly one of `embedded`, `clusterOperator` and `external`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.embedded), has(self.clusterOperator), has(self.external)].exists_one(given, given)").message(
    "rabbitmq has exactly one of `embedded: {}` (the operator runs it), `clusterOperator: {}` (the RabbitMQ cluster operator runs it) and `external: {secretName: ...}` (it is there)"
))]
#[x_kube(validation = Rule::new(
    "has(self.embedded) == has(oldSelf.embedded) && has(self.clusterOperator) == has(oldSelf.clusterOperator) && has(self.external) == has(oldSelf.external)"
).message(MOVED_HELP))]
#[serde(rename_all = "camelCase")]
pub struct RabbitmqSpec {
    /// A single instance with a volume, made and run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,

    /// A `RabbitmqCluster` of the RabbitMQ cluster operator, which must be installed. Its name is `<shop>-rabbitmq`. Its
    /// users are those of the services, each with rights to its own queues; there is no default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_operator: Option<ClusterOperatorStore>,

    /// A broker that is there already, RabbitMQ 3.10 or newer. Keys of the Secret: `host`; `username` and `password` of a
    /// user that may configure, write and read everything in the virtual host; `vhost`, by default `/`, which no other Shop
    /// may use; `port`, if it is not 5671, or 5672 without TLS; `tls` and `ca.crt` as for PostgreSQL. All services use
    /// this one user. On RabbitMQ 4 set a policy `delivery-limit` of 1000000 for the queues `.events.dead$`, so that looking
    /// at dead letters does not drop them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStore>,
}

/// A store that the operator runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new(CLASS_RULE).message(CLASS_HELP))]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedStore {
    /// Size of the volume. It cannot change once the store exists.
    #[serde(default = "default_storage")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new(STORAGE_RULE).message(STORAGE_HELP))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "storage cannot change once the store exists; expand its PersistentVolumeClaim instead"
    ))]
    pub storage: String,

    /// Class of the volume. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What happens to the volume when the Shop is deleted. Default: what `lifecycle.dataOnDelete` says. PostgreSQL and RabbitMQ
    /// should say the same: an order that is under way is partly in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // With the type alone the description would be that of the type.
    #[schemars(with = "DataOnDelete")]
    pub data_on_delete: Option<DataOnDelete>,
}

/// A PostgreSQL cluster that CloudNativePG runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new(CLASS_RULE).message(CLASS_HELP))]
#[serde(rename_all = "camelCase")]
pub struct CloudNativePgStore {
    /// Number of instances: one primary, and replicas that one of them is replaced by.
    #[serde(default = "default_nodes")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: i32,

    /// Size of each volume. It can grow where the class allows it.
    #[serde(default = "default_cluster_storage")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new(STORAGE_RULE).message(STORAGE_HELP))]
    #[x_kube(validation = Rule::new(GROWTH_RULE).message(GROWTH_HELP))]
    pub storage: String,

    /// Class of the volumes. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// A RabbitMQ cluster that the RabbitMQ cluster operator runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new(CLASS_RULE).message(CLASS_HELP))]
#[serde(rename_all = "camelCase")]
pub struct ClusterOperatorStore {
    /// Number of nodes: 1, 3, 5 or 7, because queues live where a majority of them is. It can only grow.
    #[serde(default = "default_nodes")]
    #[x_kube(validation = Rule::new("self in [1, 3, 5, 7]").message(
        "replicas is 1, 3, 5 or 7: queues live where a majority of the nodes is"
    ))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message(
        "replicas can only grow, because the RabbitMQ cluster operator removes no nodes"
    ))]
    pub replicas: i32,

    /// Size of each volume. It can grow where the class allows it.
    #[serde(default = "default_cluster_storage")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new(STORAGE_RULE).message(STORAGE_HELP))]
    #[x_kube(validation = Rule::new(GROWTH_RULE).message(GROWTH_HELP))]
    pub storage: String,

    /// Class of the volumes. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// A store that somebody else runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalStore {
    /// Name of a Secret in the Shop's namespace that says where the store is and who the services are there. A change of it
    /// is noticed within a minute, checked by connecting, and then rolls what uses the store.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub secret_name: String,
}

/// Who runs a store.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// This operator.
    Embedded,
    /// The CloudNativePG operator.
    CloudNativePG,
    /// The RabbitMQ cluster operator.
    ClusterOperator,
    /// Somebody else.
    External,
}

impl Default for PostgresSpec {
    fn default() -> Self {
        Self { embedded: Some(EmbeddedStore::default()), cloud_native_pg: None, external: None }
    }
}

impl Default for MongodbSpec {
    fn default() -> Self {
        Self { embedded: Some(EmbeddedStore::default()), external: None }
    }
}

impl Default for RedisSpec {
    fn default() -> Self {
        Self { embedded: Some(EmbeddedStore::default()), external: None }
    }
}

impl Default for RabbitmqSpec {
    fn default() -> Self {
        Self { embedded: Some(EmbeddedStore::default()), cluster_operator: None, external: None }
    }
}

impl Default for EmbeddedStore {
    fn default() -> Self {
        Self { storage: default_storage(), storage_class_name: None, data_on_delete: None }
    }
}

fn default_storage() -> String {
    "1Gi".to_owned()
}

fn default_cluster_storage() -> String {
    "10Gi".to_owned()
}

fn default_nodes() -> i32 {
    3
}
