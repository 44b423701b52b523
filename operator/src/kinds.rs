//! Kinds of other operators, as far as this one writes and reads them. Everything else in them is theirs.

mod http_route;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::http_route::{
    HttpBackendRef, HttpPathMatch, HttpRoute, HttpRouteMatch, HttpRouteRule, HttpRouteSpec, HttpRouteStatus,
    RouteCondition, RouteParentStatus,
};

/// Asks CloudNativePG in an annotation to stop the instances and keep their volumes; a condition of this type answers.
pub const HIBERNATION: &str = "cnpg.io/hibernation";

/// Where the RabbitMQ cluster operator notes how many nodes a cluster had before it was stopped, until it starts them again.
const NODES_BEFORE_SLEEP: &str = "rabbitmq.com/before-zero-replicas-configured";

/// A store that another operator runs.
pub trait Cluster: ResourceExt {
    /// Whether it takes connections.
    fn ready(&self) -> bool;

    /// Whether all of it runs with what it was told last.
    fn settled(&self) -> bool;

    /// Whether its operator says that it was stopped, as was asked. Its pods are not known.
    fn asleep(&self) -> bool;

    /// What its operator says about it.
    fn report(&self) -> String;
}

/// What CloudNativePG is asked for.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default)]
#[kube(
    group = "postgresql.cnpg.io",
    version = "v1",
    kind = "Cluster",
    root = "PostgresCluster",
    namespaced,
    schema = "disabled",
    status = "PostgresClusterStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct PostgresClusterSpec {
    /// Number of instances.
    pub instances: i32,
    /// Whether there is a Secret with which the superuser can log in: roles and databases are made with it.
    pub enable_superuser_access: bool,
    /// The volumes.
    pub storage: PostgresStorage,
    /// The server's settings.
    pub postgresql: PostgresSettings,
    /// CPU and memory of each instance.
    pub resources: ResourceRequirements,
}

/// Volumes of a PostgreSQL cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct PostgresStorage {
    /// Size of each.
    pub size: String,
    /// Their class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

/// Settings of a PostgreSQL server.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct PostgresSettings {
    /// As in `postgresql.conf`. CloudNativePG adds its own.
    pub parameters: BTreeMap<String, String>,
}

/// What CloudNativePG reports.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct PostgresClusterStatus {
    /// Instances that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_instances: Option<i32>,
    /// The instance that takes writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_primary: Option<String>,
    /// The instance that is to take them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_primary: Option<String>,
    /// Where the cluster is on its way, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_reason: Option<String>,
    /// Among them [`HIBERNATION`].
    pub conditions: Vec<Condition>,
}

impl Cluster for PostgresCluster {
    fn ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            let settled = status.current_primary.is_some() && status.current_primary == status.target_primary;
            settled && status.ready_instances.unwrap_or(0) >= 1
        })
    }

    /// Passwords are set by SQL, which needs no restart.
    fn settled(&self) -> bool {
        self.ready()
    }

    /// Instances that are on their way out are not ready, and still write: the condition is only true without pods.
    fn asleep(&self) -> bool {
        let mut conditions = self.status.iter().flat_map(|status| &status.conditions);
        conditions.any(|told| told.type_ == HIBERNATION && told.status == "True")
    }

    fn report(&self) -> String {
        let Some(status) = &self.status else { return String::new() };
        let parts = [&status.phase, &status.phase_reason].into_iter().flatten().filter(|text| !text.is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

/// What the RabbitMQ cluster operator is asked for.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default)]
#[kube(
    group = "rabbitmq.com",
    version = "v1beta1",
    kind = "RabbitmqCluster",
    namespaced,
    schema = "disabled",
    status = "RabbitmqClusterStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct RabbitmqClusterSpec {
    /// Number of nodes.
    pub replicas: i32,
    /// The volumes.
    pub persistence: RabbitmqPersistence,
    /// The broker's settings.
    pub rabbitmq: RabbitmqSettings,
    /// What is merged into the objects that the cluster operator makes, in their own words.
    #[serde(rename = "override")]
    pub overrides: Value,
}

/// Volumes of a RabbitMQ cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RabbitmqPersistence {
    /// Size of each.
    pub storage: String,
    /// Their class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

/// Settings of a RabbitMQ broker.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RabbitmqSettings {
    /// Lines after those of the cluster operator in `rabbitmq.conf`.
    pub additional_config: String,
}

/// What the RabbitMQ cluster operator reports.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RabbitmqClusterStatus {
    /// Generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Among them `ClusterAvailable`: clients can connect.
    pub conditions: Vec<RabbitmqCondition>,
}

/// One condition of a RabbitMQ cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct RabbitmqCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Cluster for RabbitmqCluster {
    fn ready(&self) -> bool {
        self.holds("ClusterAvailable")
    }

    /// Nodes import users when they start, one after the other.
    fn settled(&self) -> bool {
        self.has_followed() && self.holds("AllReplicasReady")
    }

    /// An operator that refuses to stop all nodes goes on telling of the generation before.
    fn asleep(&self) -> bool {
        self.has_followed() && !self.holds("ClusterAvailable")
    }

    fn report(&self) -> String {
        let failing = self.conditions().filter(|condition| condition.status == "False");
        failing
            .filter_map(|condition| condition.message.clone().filter(|text| !text.is_empty()))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl RabbitmqCluster {
    /// How many nodes a cluster had that sleeps.
    pub(crate) fn nodes_before_sleep(&self) -> Option<i32> {
        self.annotations().get(NODES_BEFORE_SLEEP)?.parse().ok()
    }

    /// Whether its operator has done what the spec says now.
    fn has_followed(&self) -> bool {
        let seen = self.status.as_ref().and_then(|status| status.observed_generation);
        seen >= self.metadata.generation
    }

    fn conditions(&self) -> impl Iterator<Item = &RabbitmqCondition> {
        self.status.iter().flat_map(|status| &status.conditions)
    }

    fn holds(&self, type_: &str) -> bool {
        self.conditions().any(|condition| condition.type_ == type_ && condition.status == "True")
    }
}
