//! How requests reach the shop, and what is asked of those who send them.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Empty, SECRET_HELP, SECRET_RULE};

/// The Ingress that leads to the shop, or the route through a Gateway in its place.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new(
    "!has(self.gateway) || !(has(self.className) || has(self.annotations) || has(self.tls))"
).message(
    "gateway stands in the place of className, annotations and tls: remove those, or gateway; HTTPS is a listener of the Gateway, \
     and publicUrl says so"
))]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Name of an `IngressClass` of the cluster. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,

    /// Annotations for the Ingress, for what only its controller understands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// HTTPS for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,

    /// A route through a Gateway of the Gateway API, in the place of the Ingress. Canaries get their share of HTTP only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
}

/// A route through a Gateway.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The Gateways that the route is attached to.
    #[schemars(length(min = 1, max = 4))]
    pub parent_refs: Vec<ParentReference>,
}

impl GatewaySpec {
    /// The same from everywhere, as something in a namespace means it.
    #[must_use]
    pub fn within(&self, namespace: Option<&str>) -> Self {
        Self { parent_refs: self.parent_refs.iter().map(|parent| parent.within(namespace)).collect() }
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.parent_refs.iter().any(|parent| other.parent_refs.iter().any(|other| parent.overlaps(other)))
    }
}

/// A Gateway. Whether it takes the route is its own choice (`allowedRoutes` of its listeners).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Its namespace. Default: the Shop's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// One of its listeners. Default: every one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

impl ParentReference {
    /// The same from everywhere, as something in a namespace means it.
    #[must_use]
    pub fn within(&self, namespace: Option<&str>) -> Self {
        let namespace = self.namespace.as_deref().or(namespace).map(str::to_owned);
        Self { namespace, ..self.clone() }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let sections = self.section_name.as_ref().zip(other.section_name.as_ref());
        let share_listeners = sections.is_none_or(|(section, other)| section == other);
        share_listeners && self.name == other.name && self.namespace == other.namespace
    }
}

/// HTTPS for the host.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// Name of a Secret of type kubernetes.io/tls in the Shop's namespace. Default: the ingress controller's own
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub secret_name: Option<String>,
}

/// Accounts and log-in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UsersSpec {
    /// Name of a Secret in the Shop's namespace with the first admin's `email` and `password`. Default: the Secret
    /// `<shop>-admin`, which is made with a password of its own. Either is read when pods of user start, which they do when it
    /// changes, and changes no account that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub admin_secret_name: Option<String>,

    /// Proxies in front of the services that append to `X-Forwarded-For`, the ingress controller included. The client's
    /// address is the entry just before theirs, so a number that is too large lets clients choose their address.
    #[serde(default = "default_hops")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 10").message(
        "trustedProxyHops counts the proxies in front of the services, 0 to 10; 1 is the ingress controller alone"
    ))]
    pub trusted_proxy_hops: i32,

    /// How often one account or address can try.
    #[serde(default)]
    pub rate_limits: RateLimits,

    /// How mail goes out: links to verify an address or to set a new password.
    #[serde(default)]
    pub mail: MailSpec,
}

impl Default for UsersSpec {
    fn default() -> Self {
        Self {
            admin_secret_name: None,
            trusted_proxy_hops: default_hops(),
            rate_limits: RateLimits::default(),
            mail: MailSpec::default(),
        }
    }
}

/// How mail goes out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.log), has(self.smtp)].exists_one(chosen, chosen)").message(
    "users.mail has exactly one of `log: {}` (lines in the log of user, for development) and `smtp: {secretName: mail, from: shop@example.com}`"
))]
#[serde(rename_all = "camelCase")]
pub struct MailSpec {
    /// Every mail is a line of JSON in the log of user: for development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Empty>,

    /// A mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSpec>,
}

impl Default for MailSpec {
    fn default() -> Self {
        Self { log: Some(Empty {}), smtp: None }
    }
}

/// A mail server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SmtpSpec {
    /// Name of a Secret in the Shop's namespace that says where the server is and who we are there. Keys: `host`; `tls`, one
    /// of `starttls` (the default), `tls` and `none`; `port`, if it is not 587, 465 or 25 as `tls` has it; `username` and
    /// `password`, if the server wants them. Pods of user start anew when it
    /// changes.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub secret_name: String,

    /// The sender, for example `Acorn Shop <shop@acorn.example>`.
    #[schemars(length(max = 320))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([^<>[:cntrl:]]*<[^<>@[:space:]]+@[^<>@[:space:]]+>|[^<>@[:space:]]+@[^<>@[:space:]]+)$')"
    ).message(
        "from is an e-mail address, with or without a name before it, for example shop@example.com or Shop <shop@example.com>"
    ))]
    pub from: String,
}

fn default_hops() -> i32 {
    1
}

/// Requests a minute, shared by all replicas.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimits {
    /// Log-ins a minute for one account.
    #[serde(default = "default_logins_per_account")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub logins_per_account: i32,
    /// Log-ins a minute from one client address.
    #[serde(default = "default_logins_per_address")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub logins_per_address: i32,
    /// Registrations a minute from one client address.
    #[serde(default = "default_registrations_per_address")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub registrations_per_address: i32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            logins_per_account: default_logins_per_account(),
            logins_per_address: default_logins_per_address(),
            registrations_per_address: default_registrations_per_address(),
        }
    }
}

fn default_logins_per_account() -> i32 {
    10
}

fn default_logins_per_address() -> i32 {
    300
}

fn default_registrations_per_address() -> i32 {
    60
}
