//! The `Shop` resource: what a person writes and what the operator answers.
//!
//! The doc comments here are the API documentation (`kubectl explain shop.spec`), and the rules are checked by the
//! API server, so a `Shop` that exists is a `Shop` the operator can work with. Defaults are part of the schema: what
//! runs is readable from `kubectl get shop -o yaml`.

mod canary;
mod credentials;
mod edges;
mod mesh;
mod network;
mod orders;
mod products;
mod providers;
mod services;
mod status;
mod stores;
mod traffic;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::canary::{AnalysisSpec, CanarySpec};
pub use self::credentials::CredentialsSpec;
pub use self::edges::{EdgeSpec, FaultCode, FaultsSpec, RetriesSpec};
pub use self::mesh::{MeshSpec, Mtls};
pub use self::network::NetworkPolicySpec;
pub use self::orders::{DataOnDelete, LifecycleSpec, OrdersSpec, OtlpSpec, TelemetrySpec};
pub use self::products::{ProductImagesSpec, ProductsSpec, S3Spec};
pub use self::providers::{Outcome, OutcomeRule, OutcomeWhen, ProviderMock, ProviderSpec};
pub use self::services::{Amounts, Autoscaling, ImageSpec, PullPolicy, Resources, ServiceSpec, ServicesSpec};
pub use self::status::{
    CanaryPhase, CanaryStatus, Entrance, Phase, Release, RolledBack, ServiceStatus, ShopStatus, StoreStatus,
};
pub use self::stores::{
    CloudNativePgStore, ClusterOperatorStore, EmbeddedStore, ExternalStore, MongodbSpec, PostgresSpec, RabbitmqSpec,
    RedisSpec, StoreMode,
};
pub use self::traffic::{
    GatewaySpec, IngressSpec, MailSpec, ParentReference, RateLimits, SmtpSpec, TlsSpec, UsersSpec,
};
use crate::catalog::{MONGODB, POSTGRES, REDIS, STORES};

/// What a marker object such as `embedded: {}` holds: nothing, its presence is the meaning.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Empty {}

/// Names of children are `<shop>-<component>[-migrate-<hash>]` and must fit 63 characters.
const NAME_RULE: &str = "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,34}[a-z0-9])?$')";

/// A duration as people write it; the rule is shared by every duration field.
const DURATION_RULE: &str = "self.matches('^[0-9]{1,6}(ms|s|m|h)$')";

/// What the API server answers when [`DURATION_RULE`] does not hold.
const DURATION_HELP: &str = "write a whole number with a unit, for example 500ms, 30s, 10m or 24h";

/// Whether a text can be the name of a Secret.
macro_rules! names_secret {
    ($text:literal) => {
        concat!($text, ".matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
    };
}

/// The rule of every field that names a Secret.
const SECRET_RULE: &str = names_secret!("self");

/// The rule of every field that names several.
const SECRETS_RULE: &str = concat!("self.all(name, ", names_secret!("name"), ")");

/// What the API server answers when [`SECRET_RULE`] or [`SECRETS_RULE`] does not hold.
const SECRET_HELP: &str = "write the name of a Secret in the Shop's namespace: a-z, 0-9, '-' and '.'";

/// What a Shop should be. An empty spec (`spec: {}`) is a complete shop for a development cluster.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "shopkeeper.dev",
    version = "v1alpha1",
    kind = "Shop",
    plural = "shops",
    shortname = "shop",
    category = "all",
    category = "shopkeeper",
    namespaced,
    status = "ShopStatus",
    derive = "PartialEq",
    doc = "A Shop is a running e-commerce back end: seven services, the stores they need, and the route to them.",
    validation = Rule::new(NAME_RULE).message(
        "a Shop's name has at most 36 characters, starts with a letter and uses a-z, 0-9 and '-' only: the names of everything made for it begin with it"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Services", type_ = "string", json_path = ".status.servicesReady", description = "Services that are ready, of all services"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!has(self.ingress) || !has(self.ingress.tls) || has(self.host)").message(
    "ingress.tls needs host: a certificate is for a host name; set spec.host or remove spec.ingress.tls"
))]
#[serde(rename_all = "camelCase")]
pub struct ShopSpec {
    /// Version of the seven services, the tag of their images. Default: the version of the operator itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$')").message(
        "version is an image tag of at most 63 letters, digits, '.', '_' and '-', for example 0.1.0"
    ))]
    pub version: Option<String>,

    /// Where the images of the services come from.
    #[serde(default)]
    pub image: ImageSpec,

    /// The one currency of this shop, an ISO 4217 code. It cannot change: stored prices are amounts of it. A Shop that takes up the
    /// data of an earlier one has to have the same.
    #[serde(default = "default_currency")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message(
        "currency is an ISO 4217 code of three capital letters, for example USD or EUR"
    ))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "currency cannot change once the Shop exists, because stored prices are amounts of it; make another Shop under another name"
    ))]
    pub currency: String,

    /// Host name under which the shop answers. Without one the route takes every host that reaches the ingress
    /// controller. Only one Shop per ingress class or Gateway can have either: the oldest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')"
    ).message("host is a DNS name in lower case without scheme, port or path, for example shop.example.com"))]
    pub host: Option<String>,

    /// The address customers use, without a path. Links in mails and `status.url` are built from it. Default: `https://`
    /// or `http://` (with or without `ingress.tls`) and the host; `http://localhost` where there is no host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$')").message(
        "publicUrl is scheme and host, optionally a port, and no path, for example https://shop.example.com"
    ))]
    pub public_url: Option<String>,

    /// The Ingress that leads to the shop, or the route through a Gateway in its place.
    #[serde(default)]
    pub ingress: IngressSpec,

    /// Settings of single services. Every field is optional, per service.
    #[serde(default)]
    pub services: ServicesSpec,

    /// PostgreSQL, which keeps products, orders, payments and deliveries.
    #[serde(default)]
    pub postgres: PostgresSpec,

    /// MongoDB, which keeps the users.
    #[serde(default)]
    pub mongodb: MongodbSpec,

    /// Redis, which keeps carts and rate limits.
    #[serde(default)]
    pub redis: RedisSpec,

    /// RabbitMQ, which carries events between the services.
    #[serde(default)]
    pub rabbitmq: RabbitmqSpec,

    /// Accounts and log-in.
    #[serde(default)]
    pub users: UsersSpec,

    /// Products and their pictures.
    #[serde(default)]
    pub products: ProductsSpec,

    /// Orders and the stock they reserve.
    #[serde(default)]
    pub orders: OrdersSpec,

    /// The payment provider.
    #[serde(default = "providers::default_payment")]
    #[x_kube(validation = Rule::new(providers::PAYMENT_RULE).message(
        "payment knows no city and no `then: Undeliverable`: those are for delivery.mock.outcomes"
    ))]
    pub payment: ProviderSpec,

    /// The delivery provider.
    #[serde(default = "providers::default_delivery")]
    #[x_kube(validation = Rule::new(providers::DELIVERY_RULE).message(
        "delivery knows no amount: amountAbove is for payment.mock.outcomes"
    ))]
    pub delivery: ProviderSpec,

    /// How the services talk to each other.
    #[serde(default)]
    pub mesh: MeshSpec,

    /// The passwords and keys that the operator generates.
    #[serde(default)]
    pub credentials: CredentialsSpec,

    /// Where traces go. Default: a trace store inside the Shop, which keeps the latest traces in memory.
    #[serde(default)]
    pub telemetry: TelemetrySpec,

    /// What happens to the Shop over its life.
    #[serde(default)]
    pub lifecycle: LifecycleSpec,
}

impl ShopSpec {
    /// What is said of a store that the operator runs itself.
    pub(crate) fn embedded(&self, store: &str) -> Option<&EmbeddedStore> {
        match store {
            POSTGRES => self.postgres.embedded.as_ref(),
            MONGODB => self.mongodb.embedded.as_ref(),
            REDIS => self.redis.embedded.as_ref(),
            _ => self.rabbitmq.embedded.as_ref(),
        }
    }

    /// The stores that the operator runs itself, in the order in which status lists them.
    pub(crate) fn embedded_stores(&self) -> impl Iterator<Item = &'static str> {
        STORES.into_iter().filter(|store| self.embedded(store).is_some())
    }

    /// What happens to the volume of an embedded store when the Shop is deleted.
    pub(crate) fn data_on_delete(&self, store: &EmbeddedStore) -> DataOnDelete {
        store.data_on_delete.unwrap_or(self.lifecycle.data_on_delete)
    }

    /// Whether any store keeps its data when the Shop is deleted. One that somebody else runs goes by the whole Shop's word.
    pub(crate) fn keeps_data(&self) -> bool {
        let policies = STORES.map(|store| {
            let own = self.embedded(store).map(|store| self.data_on_delete(store));
            own.unwrap_or(self.lifecycle.data_on_delete)
        });
        policies.contains(&DataOnDelete::Retain)
    }
}

fn default_currency() -> String {
    "USD".to_owned()
}
