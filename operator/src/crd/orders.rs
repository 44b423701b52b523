//! The way of an order: its time limits, its trace, and what stays when the Shop goes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DURATION_HELP, DURATION_RULE, Empty, SECRET_HELP, SECRET_RULE};

/// Orders and the stock they reserve.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("duration(self.reservation) > duration(self.unpaidExpiry)").message(
    "orders.reservation must be longer than orders.unpaidExpiry: an order that can still be paid need not be asked after"
))]
#[serde(rename_all = "camelCase")]
pub struct OrdersSpec {
    /// How long an order waits for its payment before it is canceled.
    #[serde(default = "default_unpaid_expiry")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    pub unpaid_expiry: String,

    /// How long stock stays reserved before it is asked what became of the order; a checkout that made none gives it back.
    #[serde(default = "default_reservation")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    pub reservation: String,
}

impl Default for OrdersSpec {
    fn default() -> Self {
        Self { unpaid_expiry: default_unpaid_expiry(), reservation: default_reservation() }
    }
}

fn default_unpaid_expiry() -> String {
    "10m".to_owned()
}

fn default_reservation() -> String {
    "30m".to_owned()
}

/// Where traces go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.embedded), has(self.otlp), has(self.disabled)].exists_one(chosen, chosen)").message(
    "telemetry has exactly one of `embedded: {}`, `otlp: {endpoint: http://collector:4317}` and `disabled: {}`"
))]
#[serde(rename_all = "camelCase")]
pub struct TelemetrySpec {
    /// A trace store inside the Shop. It keeps the latest traces in memory: for development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Empty>,

    /// An OpenTelemetry collector or back end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpSpec>,

    /// No traces leave the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Empty>,

    /// Share of requests that are traced, from 0 to 1.
    #[serde(default = "default_sampling")]
    #[x_kube(validation = Rule::new("self >= 0.0 && self <= 1.0").message(
        "sampling is the share of requests that are traced, from 0 (none) to 1 (all)"
    ))]
    pub sampling: f64,
}

impl Default for TelemetrySpec {
    fn default() -> Self {
        Self { embedded: Some(Empty {}), otlp: None, disabled: None, sampling: default_sampling() }
    }
}

fn default_sampling() -> f64 {
    1.0
}

/// An OpenTelemetry collector or back end.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OtlpSpec {
    /// Address of its OTLP gRPC receiver, for example `http://collector.observability:4317`.
    #[schemars(length(max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[A-Za-z0-9.-]+:[0-9]{1,5}$')").message(
        "endpoint is scheme, host and port of an OTLP gRPC receiver, for example http://collector.observability:4317"
    ))]
    pub endpoint: String,

    /// Name of a Secret in the Shop's namespace whose key `headers` holds what is sent along, such as the key of a hosted back
    /// end: `name=value`, several with commas between them. Pods start anew when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub headers_secret_name: Option<String>,
}

/// What happens to the Shop over its life.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleSpec {
    /// Whether the operator leaves everything as it is, also what somebody changes by hand. Edits of the Shop are taken up
    /// when it is no longer paused, but for `dataOnDelete`, because a Shop that is paused can be deleted. Certificates are renewed
    /// all the same, in their Secrets: without them the services would refuse each other within a day. A store that is just getting
    /// another pod gets it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,

    /// Whether everything is stopped, services before stores, and the data kept. A Shop that is no longer hibernated wakes up
    /// as it was.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hibernated: bool,

    /// Whether deleting the Shop is refused, by the admission policy that the chart shopkeeper-crds installs. It does not hold for
    /// the namespace: whoever deletes that deletes volumes and credentials at once, and only the Shop itself stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deletion_protection: bool,

    /// What happens to the volumes of the stores, and to the credentials that open them, when the Shop is deleted. An embedded
    /// store can say otherwise for its volume, and the credentials stay as long as one store keeps its data. A new Shop of the
    /// same name takes up what `Retain` left.
    #[serde(default)]
    pub data_on_delete: DataOnDelete,
}

/// So that a Shop that says nothing stays short.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What happens to data when the Shop is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub enum DataOnDelete {
    /// It stays, and so do the credentials.
    #[default]
    Retain,
    /// It goes with the Shop, and where no store keeps anything the credentials do too.
    Delete,
}

impl DataOnDelete {
    /// How a StatefulSet is told.
    pub(crate) fn policy(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}
