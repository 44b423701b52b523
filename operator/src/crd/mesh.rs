//! How the services talk to each other.

use std::{collections::BTreeMap, time::Duration};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::edges::{EDGES_HELP, EDGES_RULE, EdgeSpec};
use super::{DURATION_HELP, DURATION_RULE, NetworkPolicySpec};

/// How the services talk to each other.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MeshSpec {
    /// Whether gRPC between the services is mutual TLS, and embedded stores are encrypted. With `Strict` a service answers only
    /// those that show a certificate of this Shop, and only the calls they are known to make, and a store answers nobody in
    /// plain text. `Off` is for a cluster whose own mesh does that. Changing it replaces all pods, and until then old and new
    /// ones do not understand each other.
    #[serde(default)]
    pub mtls: Mtls,

    /// How long a service's certificate is good for, 10m to 24h. It is renewed after two thirds of that, without a restart. Those
    /// of embedded stores are good for 90 days.
    #[serde(default = "default_lifetime")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self) >= duration('10m') && duration(self) <= duration('24h'))").message(
        "certificateLifetime is between 10m and 24h: shorter ones are not renewed in time, longer ones are hard to revoke"
    ))]
    pub certificate_lifetime: String,

    /// Whom the pods may talk to over the network.
    #[serde(default)]
    pub network_policy: NetworkPolicySpec,

    /// How the services call each other, by caller and called one: `cart-order`, `cart-product`, `order-product`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = Rule::new(EDGES_RULE).message(EDGES_HELP))]
    pub edges: BTreeMap<String, EdgeSpec>,
}

/// Whether gRPC between the services is mutual TLS.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub enum Mtls {
    /// Always.
    #[default]
    Strict,
    /// Never.
    Off,
}

impl Default for MeshSpec {
    fn default() -> Self {
        Self {
            mtls: Mtls::default(),
            certificate_lifetime: default_lifetime(),
            network_policy: NetworkPolicySpec::default(),
            edges: BTreeMap::new(),
        }
    }
}

impl MeshSpec {
    /// [`MeshSpec::certificate_lifetime`]; the longest when it was stored before there was a rule for it.
    pub(crate) fn lifetime(&self) -> Duration {
        const LONGEST: Duration = Duration::from_hours(24);
        let parsed = self.certificate_lifetime.parse::<jiff::SignedDuration>().ok();
        parsed.and_then(|lifetime| lifetime.try_into().ok()).map_or(LONGEST, |lifetime: Duration| lifetime.min(LONGEST))
    }
}

fn default_lifetime() -> String {
    "24h".to_owned()
}
