//! Who moves the money and who carries the parcels.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DURATION_HELP, DURATION_RULE};

/// Rule for `payment`.
pub(super) const PAYMENT_RULE: &str = "!has(self.mock) || self.mock.outcomes.all(rule, \
    rule.then != 'Undeliverable' && (!has(rule.when) || !has(rule.when.city)))";
/// Rule for `delivery`.
pub(super) const DELIVERY_RULE: &str =
    "!has(self.mock) || self.mock.outcomes.all(rule, !has(rule.when) || !has(rule.when.amountAbove))";

/// A provider outside the shop.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("has(self.mock)").message(
    "name the provider: `mock: {latency: 2s}` is a built-in one for development, the only one there is in this version"
))]
#[serde(rename_all = "camelCase")]
pub struct ProviderSpec {
    /// A built-in provider for development, which succeeds unless its `outcomes` say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<ProviderMock>,
}

/// A built-in provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMock {
    /// How long the provider takes for each order, `0s` for none.
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new(DURATION_RULE).message(DURATION_HELP))]
    pub latency: String,

    /// What goes wrong, for trying out what the shop then does. The first rule that fits an order decides; an order that
    /// fits none succeeds.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub outcomes: Vec<OutcomeRule>,
}

/// Which orders go wrong, and how.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.times) || self.then == 'Fail' || self.then == 'TimeOut'").message(
    "times goes with `then: Fail` and `then: TimeOut`: a provider that has declined an order is not asked again"
))]
#[serde(rename_all = "camelCase")]
pub struct OutcomeRule {
    /// Which orders: all of this must hold. Default: every order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<OutcomeWhen>,

    /// What comes of them.
    pub then: Outcome,

    /// After so many calls for one order the provider recovers. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub times: Option<i32>,
}

/// Conditions on an order.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeWhen {
    /// Payment: the amount is larger than this, in minor units (cents).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub amount_above: Option<i64>,

    /// Delivery: the parcel goes to this city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub city: Option<String>,

    /// Every so many-th order the provider hears of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every_nth: Option<i64>,
}

/// What comes of an order.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The provider refuses.
    Decline,
    /// Delivery: the parcel is shipped, cannot be handed over, and comes back.
    Undeliverable,
    /// The provider does it, and its answer is lost.
    TimeOut,
    /// The provider does nothing and reports an error.
    Fail,
}

pub(super) fn default_payment() -> ProviderSpec {
    mock("2s")
}

pub(super) fn default_delivery() -> ProviderSpec {
    mock("5s")
}

fn mock(latency: &str) -> ProviderSpec {
    ProviderSpec { mock: Some(ProviderMock { latency: latency.to_owned(), outcomes: Vec::new() }) }
}
