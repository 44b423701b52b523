//! An `HTTPRoute` of the Gateway API.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::crd::ParentReference;

/// Which requests go where.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    root = "HttpRoute",
    namespaced,
    schema = "disabled",
    status = "HttpRouteStatus"
)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteSpec {
    /// The Gateways that it is attached to.
    pub parent_refs: Vec<ParentReference>,
    /// The hosts that it is for; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Its rules.
    pub rules: Vec<HttpRouteRule>,
}

/// Requests that go to the same pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRule {
    /// Which ones: any of these.
    pub matches: Vec<HttpRouteMatch>,
    /// Where they go.
    pub backend_refs: Vec<HttpBackendRef>,
}

/// What a request looks like.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct HttpRouteMatch {
    /// Its path.
    pub path: HttpPathMatch,
}

/// What a path looks like.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct HttpPathMatch {
    /// How it is compared.
    #[serde(rename = "type")]
    pub type_: String,
    /// With what.
    pub value: String,
}

/// A Service, and its share of the requests.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct HttpBackendRef {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: i32,
    /// Its share, beside those of the other Services.
    pub weight: i32,
}

/// What those who run the Gateways say.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct HttpRouteStatus {
    /// About each Gateway.
    pub parents: Vec<RouteParentStatus>,
}

/// What is said about one Gateway.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentStatus {
    /// Which one.
    pub parent_ref: ParentReference,
    /// Who says it.
    pub controller_name: String,
    /// Among them `Accepted`: the Gateway takes the route; and `ResolvedRefs`: its Services are there.
    pub conditions: Vec<RouteCondition>,
}

/// One condition of a route.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The generation of the route that it is about.
    pub observed_generation: i64,
}

impl HttpRoute {
    /// What was said last of the route's present generation and one Gateway, by whoever runs it.
    #[must_use]
    pub fn told(&self, parent: &ParentReference, type_: &str) -> Option<&RouteCondition> {
        let here = self.metadata.namespace.as_deref();
        let parent = parent.within(here);
        let parents = self.status.iter().flat_map(|status| &status.parents);
        let mut told = parents.filter(|told| told.parent_ref.within(here) == parent).flat_map(|told| &told.conditions);
        let generation = self.metadata.generation.unwrap_or_default();
        told.find(|condition| condition.type_ == type_ && condition.observed_generation >= generation)
    }
}
