//! What the operator reports about a Shop.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GatewaySpec, StoreMode};

/// What the operator last saw of a Shop. The API server gives a new Shop one that nobody wrote: without it tools that wait by
/// kstatus would find nothing to wait for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = unseen()))]
pub struct ShopStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where the Shop is on its way, in one word; the conditions say why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Version that all services run. During a rollout it is the previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The images with which all stores and services were ready the last time: what a rollout that fails returns to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ready: Option<Release>,

    /// The attempt that failed, while the images of `lastReady` run in place of those of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,

    /// Address of the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// Where the Shop has its host, or every host: the ingress class and the Gateways that its routes are attached to. No younger
    /// Shop gets a route for the same there as long as they stay, whatever the spec of this one says by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrances: Vec<Entrance>,

    /// Services that are ready, of all services, for example `7/7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services_ready: Option<String>,

    /// Each service.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub services: Vec<ServiceStatus>,

    /// Each store.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub stores: Vec<StoreStatus>,

    /// Ready, and what it takes to be ready: `DependenciesReady`, `Migrated`, `ServicesReady`,
    /// `CertificatesValid`, `RouteReady`.
    /// `Stalled` is there while somebody has to do something before the operator can go on.
    /// `CredentialsSettled` is false while generated passwords and keys are to be or being replaced; everything works meanwhile.
    /// `RolledBack` is there while older images run than the spec wants, because those did not become ready.
    /// `Paused` is there while the operator leaves the Shop alone.
    /// `Hibernated` is there while the Shop is to sleep, and true once it does. Then there is no `Ready`: it does not serve, and
    /// it is what it should be.
    /// `CanaryPromoted` says how far canaries came, where there are any.
    /// `AutoscalingActive` says whether autoscalers see the load, where there are any.
    /// `Progressing` says whether the operator is still getting there, `DevelopmentOnly` what is not fit for production.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// The status of a Shop that no operator has looked at.
fn unseen() -> Value {
    json!({"conditions": [{
        "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "nothing of it was made yet",
        "lastTransitionTime": Timestamp::UNIX_EPOCH.to_string(),
    }]})
}

impl ShopStatus {
    /// Whether an operator has told anything of the Shop.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.observed_generation.is_some() || self.phase.is_some()
    }

    /// Whether stores and services are as the spec wants them. A route or a certificate says nothing against images and log-ins.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.phase != Some(Phase::Hibernated)
            && self.rolled_back.is_none()
            && ["DependenciesReady", "Migrated", "ServicesReady"].into_iter().all(|part| self.holds(part))
    }

    /// Whether a condition is true.
    #[must_use]
    pub fn holds(&self, type_: &str) -> bool {
        self.conditions.iter().any(|told| told.type_ == type_ && told.status == "True")
    }
}

/// Where requests for a host come from: an ingress class, or Gateways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Entrance {
    /// The host, if it is not every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the ingress class, if there is one to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// The Gateways, where it is no ingress class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
}

impl Entrance {
    /// Whether there are requests that come to both. Gateways are compared with their namespaces, see [`GatewaySpec::within`].
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let from_one_place = match (&self.gateway, &other.gateway) {
            (Some(gateway), Some(other)) => gateway.overlaps(other),
            (None, None) => self.class_name == other.class_name,
            _ => false,
        };
        from_one_place && self.host == other.host
    }
}

/// Images that were ready together.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The version of the Shop.
    pub version: String,
    /// The image of each service.
    pub images: BTreeMap<String, String>,
}

/// A rollout that failed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// What was tried, as a hash: another spec, or another value in a Secret that it names, is another attempt.
    pub attempt: String,
    /// What went wrong.
    pub message: String,
}

/// Where a Shop is on its way.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// Something must be changed by a person, or go away, before the operator goes on.
    Blocked,
    /// The stores are starting.
    Preparing,
    /// The databases are being migrated.
    Migrating,
    /// The services are being brought to the wanted state.
    RollingOut,
    /// Everything is as wanted.
    Ready,
    /// Services and stores are stopped, or stopping.
    Hibernated,
    /// The operator leaves the Shop alone.
    Paused,
}

/// One service of a Shop.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its name, for example `order`.
    pub name: String,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are wanted.
    pub desired: i32,
    /// Version that its pods run. During a rollout it is the previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStatus>,
}

/// Where a canary stands.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// What is tried, as a hash: another image or another `canary` in the spec is another attempt.
    pub attempt: String,
    /// How far it came.
    pub phase: CanaryPhase,
    /// Since when.
    pub since: Time,
    /// Its image. Once it is promoted, the image of the service.
    pub image: String,
    /// The version of that image.
    pub version: String,
    /// So many of a hundred calls and requests are to go to it while it progresses.
    pub weight: i32,
    /// Calls and requests that its pods answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// So many of a hundred succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// Within this time 99 of a hundred were answered.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "latencyP99")]
    pub latency_p99: Option<String>,
    /// Why it stands there, or what it waits for.
    pub message: String,
}

/// How far a canary came.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CanaryPhase {
    /// Its image runs as the service. Its own pods are gone.
    Promoted,
    /// It gets its share.
    Progressing,
    /// Its migration or its pods are not ready, and it gets nothing.
    Starting,
    /// It failed, and is gone. What ran before runs on until the spec changes.
    RolledBack,
}

/// One store of a Shop.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// Its name, for example `postgres`.
    pub name: String,
    /// Who runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<StoreMode>,
    /// Whether it takes connections. Of an external one: whether the Jobs that connected to it could.
    pub ready: bool,
}
