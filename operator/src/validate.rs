//! Pure: a Shop and the operator's settings become a [`ValidShop`], in which nothing is optional that must be known.
//!
//! The API server has checked the spec against the rules of the CRD. What is left is what those rules cannot know: the
//! settings of the operator, the other Shops, and objects that were stored before a rule existed.

mod route;
mod services;
mod stores;

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, OwnerReference};
use kube::{Resource, ResourceExt};

use self::stores::Own;
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, SERVICES, Service};
use crate::crd::{
    DataOnDelete, EdgeSpec, Mtls, NetworkPolicySpec, ProviderSpec, PullPolicy, Release, S3Spec, Shop, StoreMode,
    UsersSpec,
};
use crate::credentials::{Credentials, TokenKeys};
use crate::given;
use crate::settings::Settings;
use crate::stores::{Found, Store};

pub use self::route::{Gateway, Route};
pub use self::services::{Canary, Quantities, ValidService};

/// A Shop of which every question is answered.
pub struct ValidShop {
    /// Its name, the beginning of all names.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What makes it the owner of its objects.
    pub owner: OwnerReference,
    /// Version of the services.
    pub version: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Scheme and host for links.
    pub public_url: String,
    /// The e-mail address of the first admin.
    pub admin_email: String,
    /// How requests get in.
    pub route: Route,
    /// When images of services are pulled.
    pub pull_policy: PullPolicy,
    /// When images of stores are pulled: they are the operator's, and so is their policy.
    pub store_pull_policy: PullPolicy,
    /// Secrets for the registry.
    pub pull_secrets: Vec<String>,
    /// The seven services, in the catalog's order.
    pub services: Vec<ValidService>,
    /// PostgreSQL.
    pub postgres: Store,
    /// MongoDB.
    pub mongodb: Store,
    /// Redis.
    pub redis: Store,
    /// RabbitMQ.
    pub rabbitmq: Store,
    /// Whether gRPC is mutual TLS.
    pub mtls: bool,
    /// Who may reach whom over the network besides the services themselves; `None` for everybody.
    pub policy: Option<Policy>,
    /// How services call each other where the Shop says so, by `<caller>-<service>`.
    pub edges: BTreeMap<String, EdgeSpec>,
    /// Where traces go.
    pub traces: Traces,
    /// Share of requests that are traced, as text.
    pub sampling: String,
    /// Proxies and rate limits.
    pub users: UsersSpec,
    /// The bucket of uploaded pictures; without one they are in PostgreSQL.
    pub images: Option<S3Spec>,
    /// How long an order waits for its payment.
    pub unpaid_expiry: String,
    /// How long stock is reserved.
    pub reservation: String,
    /// Who moves the money.
    pub payment: MockProvider,
    /// Who carries the parcels.
    pub delivery: MockProvider,
    /// Whether nothing is to run.
    pub hibernated: bool,
    /// The images with which all of it was ready the last time.
    pub last_ready: Option<Release>,
    /// What happens to what other operators keep data in; an embedded store has its own answer.
    pub data_on_delete: DataOnDelete,
    /// Hashes of Secrets that somebody else writes and pods read, by name.
    pub given: BTreeMap<String, String>,
    /// One hash of these and of the Secrets of stores that somebody else runs.
    pub all_given: String,
    /// Passwords.
    pub credentials: Credentials,
    /// The keys of access tokens.
    pub token_keys: TokenKeys,
}

/// Where traces go.
#[derive(Debug, PartialEq)]
pub enum Traces {
    /// To the trace store of the Shop, an image.
    Embedded {
        /// The full image reference.
        image: String,
    },
    /// To a collector.
    Otlp {
        /// Its address.
        endpoint: String,
        /// The Secret with what else it is told, such as a key.
        headers: Option<String>,
    },
    /// Nowhere.
    Disabled,
}

/// Those outside the Shop who may reach its pods, or be reached by them.
#[derive(Debug)]
pub struct Policy {
    /// Who sends the requests of customers.
    pub ingress_from: Vec<NetworkPolicyPeer>,
    /// Who reads metrics.
    pub metrics_from: Vec<NetworkPolicyPeer>,
    /// Whom the services reach.
    pub egress_to: Vec<NetworkPolicyPeer>,
}

/// A built-in provider.
#[derive(Debug)]
pub struct MockProvider {
    /// How long it takes for each order.
    pub latency: String,
    /// What goes wrong, as JSON, which its service reads; `None` for nothing.
    pub outcomes: Option<String>,
}

/// A Shop that cannot be worked with, and what to write instead.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The field to change.
    pub field: String,
    /// What to write there.
    pub message: String,
}

impl ValidShop {
    /// The stores, in the order in which status lists them.
    #[must_use]
    pub fn stores(&self) -> [(&'static str, &Store); 4] {
        [(POSTGRES, &self.postgres), (MONGODB, &self.mongodb), (REDIS, &self.redis), (RABBITMQ, &self.rabbitmq)]
    }

    /// Names of the stores that this operator runs.
    #[must_use]
    pub fn embedded_stores(&self) -> Vec<&'static str> {
        let embedded = self.stores().into_iter().filter(|(_, store)| store.mode() == StoreMode::Embedded);
        embedded.map(|(name, _)| name).collect()
    }

    /// The stores of one service.
    pub fn stores_of(&self, service: &Service) -> impl Iterator<Item = (&'static str, &Store)> {
        self.stores().into_iter().filter(move |(store, _)| service.uses(store))
    }

    /// Whether it is known how every store is reached.
    #[must_use]
    pub fn knows_its_stores(&self) -> bool {
        self.stores().iter().all(|(_, store)| store.trouble().is_none())
    }

    /// The canary of a service.
    #[must_use]
    pub fn canary_of(&self, service: &str) -> Option<&Canary> {
        self.services.iter().find(|found| found.service.name == service)?.canary.as_ref()
    }

    /// The canaries, each as a service of its own.
    pub fn canaries(&self) -> impl Iterator<Item = ValidService> {
        self.services.iter().filter_map(ValidService::as_canary)
    }

    /// Whether there is something to migrate, or a store to try: one that somebody else runs is only known by connecting.
    #[must_use]
    pub fn has_migration(&self, service: &Service) -> bool {
        service.migrates || self.asks_others(service)
    }

    /// The database at which a service's migration makes the users that the service logs in as: there, they are its own.
    #[must_use]
    pub fn store_of_logins(&self, service: &Service) -> Option<&'static str> {
        let ours = |store: &&str| match *store {
            POSTGRES => true,
            MONGODB => matches!(self.mongodb, Store::Embedded(_)),
            _ => false,
        };
        service.stores.iter().copied().find(ours)
    }

    /// Whether a service uses a store that neither this operator runs nor another one.
    #[must_use]
    pub fn asks_others(&self, service: &Service) -> bool {
        self.stores_of(service).any(|(_, store)| matches!(store, Store::External(_)))
    }
}

/// Answers every question about a Shop.
pub fn validate(
    shop: &Shop,
    others: &[impl AsRef<Shop>],
    settings: &Settings,
    credentials: Credentials,
    found: &Found,
) -> Result<ValidShop, Invalid> {
    let spec = &shop.spec;
    let missing = |field: &str| Invalid { field: field.to_owned(), message: "is not set".to_owned() };
    let version = spec.version.clone().unwrap_or_else(|| settings.version.clone());
    let token_keys = credentials.token_keys().map_err(|error| Invalid {
        field: format!("Secret {}", crate::names::credentials(&shop.name_any())),
        message: format!("{error}; restore the Secret from a backup"),
    })?;
    let services = SERVICES.iter().map(|service| services::valid(service, shop, settings, &version));
    let mtls = spec.mesh.mtls == Mtls::Strict;
    let own = |store, image| Own { image, certificate: credentials.store_certificate(store).filter(|_| mtls) };
    Ok(ValidShop {
        name: shop.name_any(),
        namespace: shop.namespace().ok_or_else(|| missing("metadata.namespace"))?,
        owner: shop.controller_owner_ref(&()).ok_or_else(|| missing("metadata.uid"))?,
        currency: spec.currency.clone(),
        public_url: public_url(shop),
        admin_email: format!("admin@{}", spec.host.as_deref().unwrap_or("shop.local")),
        route: route::valid(shop, others, found),
        pull_policy: spec.image.pull_policy.unwrap_or(settings.image_pull_policy),
        store_pull_policy: settings.image_pull_policy,
        pull_secrets: spec.image.pull_secrets.clone(),
        services: services.collect::<Result<_, _>>()?,
        version,
        postgres: stores::postgres(shop, own(POSTGRES, &settings.postgres_image), found)?,
        mongodb: stores::mongodb(shop, own(MONGODB, &settings.mongodb_image), found)?,
        redis: stores::redis(shop, own(REDIS, &settings.redis_image), found)?,
        rabbitmq: stores::rabbitmq(shop, own(RABBITMQ, &settings.rabbitmq_image), found)?,
        mtls,
        policy: policy(&spec.mesh.network_policy),
        edges: spec.mesh.edges.clone(),
        traces: traces(shop, settings),
        sampling: spec.telemetry.sampling.to_string(),
        users: spec.users.clone(),
        images: spec.products.images.s3.clone(),
        unpaid_expiry: spec.orders.unpaid_expiry.clone(),
        reservation: spec.orders.reservation.clone(),
        payment: mock_provider("payment", &spec.payment)?,
        delivery: mock_provider("delivery", &spec.delivery)?,
        hibernated: spec.lifecycle.hibernated,
        last_ready: shop.status.as_ref().and_then(|status| status.last_ready.clone()),
        data_on_delete: spec.lifecycle.data_on_delete,
        given: given::hashes(shop, found),
        all_given: given::all(found),
        credentials,
        token_keys,
    })
}

/// The version that an image reference carries: its tag, or the start of its digest.
#[must_use]
pub fn image_version(image: &str) -> String {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.chars().take(12).collect();
    }
    let after_path = image.rsplit('/').next().unwrap_or(image);
    let tag = after_path.split_once(':').map_or("latest", |(_, tag)| tag);
    // A tag can be longer than a label value, and end with what a label value must not end with.
    let short: String = tag.chars().take(63).collect();
    short.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn public_url(shop: &Shop) -> String {
    let spec = &shop.spec;
    let scheme = if spec.ingress.tls.is_some() { "https" } else { "http" };
    let host = spec.host.as_deref().unwrap_or("localhost");
    spec.public_url.clone().unwrap_or_else(|| format!("{scheme}://{host}"))
}

fn mock_provider(name: &str, spec: &ProviderSpec) -> Result<MockProvider, Invalid> {
    let invalid = |message: String| Invalid { field: format!("spec.{name}.mock"), message };
    let mock = spec.mock.as_ref().ok_or_else(|| invalid("is not set".to_owned()))?;
    let outcomes = serde_json::to_string(&mock.outcomes).map_err(|error| invalid(error.to_string()))?;
    Ok(MockProvider { latency: mock.latency.clone(), outcomes: Some(outcomes).filter(|_| !mock.outcomes.is_empty()) })
}

fn policy(spec: &NetworkPolicySpec) -> Option<Policy> {
    spec.enabled.then(|| Policy {
        ingress_from: spec.ingress_from.clone().unwrap_or_else(|| pods_named(&["traefik", "ingress-nginx"])),
        metrics_from: spec.metrics_from.clone().unwrap_or_else(|| pods_named(&["prometheus"])),
        egress_to: spec.egress_to.clone(),
    })
}

/// Pods of a well-known name, in every namespace.
fn pods_named(applications: &[&str]) -> Vec<NetworkPolicyPeer> {
    let named = LabelSelectorRequirement {
        key: "app.kubernetes.io/name".to_owned(),
        operator: "In".to_owned(),
        values: Some(applications.iter().map(|&name| name.to_owned()).collect()),
    };
    vec![NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector { match_expressions: Some(vec![named]), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }]
}

fn traces(shop: &Shop, settings: &Settings) -> Traces {
    let telemetry = &shop.spec.telemetry;
    match (&telemetry.otlp, &telemetry.disabled) {
        (Some(otlp), _) => Traces::Otlp { endpoint: otlp.endpoint.clone(), headers: otlp.headers_secret_name.clone() },
        (None, Some(_)) => Traces::Disabled,
        (None, None) => Traces::Embedded { image: settings.traces_image.clone() },
    }
}
