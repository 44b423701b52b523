//! Images, replicas and resources of the services.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canary::{CALLED_HELP, CALLED_RULE};
use super::{CanarySpec, SECRET_HELP, SECRETS_RULE};

/// Where the images of the services come from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// Registry and path in front of the service's name: `<registry>/user:<version>`. Default: the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-zA-Z0-9._:/-]*[a-z0-9])?$')").message(
        "image.registry is a registry and path without scheme or trailing slash, for example ghcr.io/acme/shopkeeper"
    ))]
    pub registry: Option<String>,

    /// When the kubelet pulls images. Default: the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,

    /// Names of Secrets in the Shop's namespace with credentials for the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = Rule::new(SECRETS_RULE).message(SECRET_HELP))]
    pub pull_secrets: Vec<String>,
}

/// When the kubelet pulls an image.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: the image must be on the node.
    Never,
}

impl PullPolicy {
    /// The word Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Settings of single services.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new(CALLED_RULE).message(CALLED_HELP))]
#[serde(rename_all = "camelCase")]
pub struct ServicesSpec {
    /// Accounts, log-in and tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<ServiceSpec>,
    /// Catalog, stock and images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ServiceSpec>,
    /// Carts and checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cart: Option<ServiceSpec>,
    /// Orders and their states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<ServiceSpec>,
    /// Payments and refunds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<ServiceSpec>,
    /// Shipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<ServiceSpec>,
    /// The API documentation of the other six.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<ServiceSpec>,
}

/// Settings of one service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)").message(
    "replicas and autoscaling exclude each other: remove replicas to let the load decide, or autoscaling to decide yourself"
))]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Pods of the service. Default: 1. From two on, a `PodDisruptionBudget` keeps all but one of them running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,

    /// Lets the load decide how many pods there are, in place of `replicas`. It needs a metrics server in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// CPU and memory of each pod. Default, amount by amount: what the operator's catalog of services says, as far as what is
    /// given beside it allows: a request is never above its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// What the service logs: a level, or a comma-separated list of `module=level`. Default: `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([A-Za-z0-9_:]+=)?(trace|debug|info|warn|error|off)(,([A-Za-z0-9_:]+=)?(trace|debug|info|warn|error|off))*$')"
    ).message("logLevel is trace, debug, info, warn, error or off, or a list such as info,shop_order=debug"))]
    pub log_level: Option<String>,

    /// Image of this service, in full, in place of `<registry>/<service>:<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][^ ]*[:@][^ :@/]+$') || self.matches('@sha256:[0-9a-f]{64}$')").message(
        "image is a reference with a tag or a digest, for example ghcr.io/acme/order:0.1.1"
    ))]
    pub image: Option<String>,

    /// Another version beside this one, for a share of the calls and requests. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySpec>,
}

/// Between how many pods a service has, and what decides.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message(
    "autoscaling.minReplicas is greater than autoscaling.maxReplicas: write the smaller number first, for example 2 and 6"
))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Pods there are at least. From two on, a `PodDisruptionBudget` keeps all but one of them running.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,

    /// Pods there are at most.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,

    /// CPU that pods are to use on average, in percent of what they request.
    #[serde(default = "default_cpu_utilization", rename = "targetCPUUtilization")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: i32,
}

fn default_min_replicas() -> i32 {
    1
}

fn default_cpu_utilization() -> i32 {
    80
}

/// CPU and memory of a pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !isQuantity(self.requests.cpu) || !isQuantity(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0"
).message("requests.cpu is more than limits.cpu: a pod cannot be promised more than it may use; raise the limit or lower the request"))]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !isQuantity(self.requests.memory) || !isQuantity(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0"
).message("requests.memory is more than limits.memory: a pod cannot be promised more than it may use; raise the limit or lower the request"))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler keeps free for the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
    /// What the pod can use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of CPU and memory.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// CPU, for example `250m` or `"2"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]+([.][0-9]+)?m?$')").message(
        "cpu is a number of cores in quotes, or of thousandths with m, for example \"2\" or 250m"
    ))]
    pub cpu: Option<String>,

    /// Memory, for example `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]+([.][0-9]+)?(Ki|Mi|Gi|k|M|G)?$')").message(
        "memory is a number of bytes with a unit, for example 128Mi or 1Gi"
    ))]
    pub memory: Option<String>,
}
