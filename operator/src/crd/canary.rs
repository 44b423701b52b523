//! Another version of a service beside the present one.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{DURATION_HELP, DURATION_RULE};

/// Rule for `services`: canaries are for what is called.
pub(super) const CALLED_RULE: &str =
    "(!has(self.payment) || !has(self.payment.canary)) && (!has(self.delivery) || !has(self.delivery.canary))";
/// What the API server answers when [`CALLED_RULE`] does not hold.
pub(super) const CALLED_HELP: &str = "payment and delivery take their work from queues, which nobody splits by weight: remove canary, and set image or version to \
     change them";

/// Another version of a service beside the present one. It gets a share of the calls of other services (gRPC), and with
/// `ingress.gateway` of the requests of customers (HTTP); an Ingress knows no shares. Its pods take their part of the events that
/// the service reads from queues, as all of its pods do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.version) != has(self.image)").message(
    "a canary is another version, for example `version: 0.2.0`, or another image: write one of the two"
))]
#[serde(rename_all = "camelCase")]
pub struct CanarySpec {
    /// Its version, the tag of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$')").message(
        "version is an image tag of at most 63 letters, digits, '.', '_' and '-', for example 0.2.0"
    ))]
    pub version: Option<String>,

    /// Its image, in full, in place of `<registry>/<service>:<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][^ ]*[:@][^ :@/]+$') || self.matches('@sha256:[0-9a-f]{64}$')").message(
        "image is a reference with a tag or a digest, for example ghcr.io/acme/order:0.2.0"
    ))]
    pub image: Option<String>,

    /// So many of a hundred calls and requests go to it. It has as many pods as that share of the service's own, at least one.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// What decides whether it takes over. Default: nothing does; it keeps its share until you write another image or version,
    /// or remove it. Pods that do not become ready end it anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisSpec>,
}

/// What decides whether a canary takes over: what its pods measure of the calls and requests that they answered. Once enough of
/// them were answered, a canary that is too bad is rolled back at once; one that was good over the whole interval is promoted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisSpec {
    /// How long it has to be good, 10s to 24h, with all its pods ready.
    #[serde(default = "default_interval")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self) >= duration('10s') && duration(self) <= duration('24h'))").message(
        "interval is between 10s and 24h"
    ))]
    pub interval: String,

    /// So many calls and requests have to be answered before anything is decided.
    #[serde(default = "default_min_requests")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_requests: i32,

    /// So many of a hundred have to succeed at least. What the caller did wrong (4xx, `NOT_FOUND` and so on) is no failure.
    #[serde(default = "default_success_rate")]
    #[schemars(range(min = 0, max = 100))]
    pub success_rate: f64,

    /// Within this time 99 of a hundred have to be answered.
    #[serde(default = "default_latency", rename = "latencyP99")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    pub latency_p99: String,
}

fn default_interval() -> String {
    "5m".to_owned()
}

fn default_min_requests() -> i32 {
    100
}

fn default_success_rate() -> f64 {
    99.0
}

fn default_latency() -> String {
    "500ms".to_owned()
}

fn default_weight() -> i32 {
    10
}
