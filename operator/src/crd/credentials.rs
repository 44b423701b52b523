//! The passwords and keys that the operator generates.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{DURATION_HELP, DURATION_RULE};

/// The passwords and keys that the operator generates. The annotation `shopkeeper.dev/rotate` of the Shop, set to anything
/// else than the last time, replaces them at once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSpec {
    /// How old they get before they are replaced, at least 1h, for example 2160h. Default: they are replaced on request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    #[x_kube(validation = Rule::new("!self.matches('^[0-9]{1,6}(ms|s|m|h)$') || duration(self) >= duration('1h')").message(
        "credentials.maxAge is at least 1h: replacing everything takes about half an hour"
    ))]
    pub max_age: Option<String>,
}

impl CredentialsSpec {
    /// [`CredentialsSpec::max_age`], if it can be read.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        self.max_age.as_ref()?.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
    }
}
