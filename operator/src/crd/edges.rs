//! How one service calls another.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DURATION_HELP, DURATION_RULE};

/// Rule for `mesh.edges`: one entry for each two services of which the first calls the second.
pub(super) const EDGES_RULE: &str = "self.all(edge, edge in ['cart-order', 'cart-product', 'order-product'])";
/// What the API server answers when [`EDGES_RULE`] does not hold.
pub(super) const EDGES_HELP: &str =
    "mesh.edges knows cart-order, cart-product and order-product: no other service calls one of the others";
/// A try that is shorter is over before anybody can answer; and a checkout must know within 10 s what became of it.
const TIMEOUT_RULE: &str = "!self.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self) >= duration('10ms') && duration(self) <= duration('10s'))";
const TIMEOUT_HELP: &str = "write a length of time between 10ms and 10s";

/// How one service calls another.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSpec {
    /// A call is answered within this time or fails, retries included, 10ms to 10s. Whatever the called service does for it, in
    /// calls of its own too, ends by then. Default: 1s for cart-product, 5s for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    #[x_kube(validation = Rule::new(TIMEOUT_RULE).message(TIMEOUT_HELP))]
    pub timeout: Option<String>,

    /// When a call is tried again, at another pod where there is one. Only calls that may be made twice are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetriesSpec>,

    /// What goes wrong on purpose, to see what the shop then does. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultsSpec>,
}

/// When a call is tried again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetriesSpec {
    /// Tries of one call, the first one included; 1 for no retries. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: Option<i32>,

    /// How long one try may take, 10ms to 10s. Default: the tries that are left share the time that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    #[x_kube(validation = Rule::new(TIMEOUT_RULE).message(TIMEOUT_HELP))]
    pub per_try_timeout: Option<String>,

    /// So many of a hundred calls may be tried again, and three a second besides; 0 for none at all. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub budget: Option<i32>,
}

/// What goes wrong on purpose.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.delay) || has(self.error) || (has(self.reset) && self.reset)").message(
    "say what goes wrong: delay, error, or `reset: true`"
))]
#[x_kube(validation = Rule::new("!has(self.error) || !has(self.reset) || !self.reset").message(
    "a call that is answered with an error has no connection that breaks: leave out error or reset"
))]
#[serde(rename_all = "camelCase")]
pub struct FaultsSpec {
    /// It happens to so many of a hundred tries.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,

    /// They are sent this much later, or come to harm this much later where `error` or `reset` is set too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    pub delay: Option<String>,

    /// They are answered with this gRPC status instead of being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FaultCode>,

    /// Their connection breaks instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<bool>,
}

/// A gRPC status nobody wants.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum FaultCode {
    /// The service is away.
    Unavailable,
    /// It was too slow.
    DeadlineExceeded,
    /// It has had enough.
    ResourceExhausted,
    /// It failed.
    Internal,
}

impl FaultCode {
    /// The word the services know.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "Unavailable",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::Internal => "Internal",
        }
    }
}
