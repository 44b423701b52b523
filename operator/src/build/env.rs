//! The environment of a service: every setting that is no secret, and where the secret ones come from.

use k8s_openapi::api::core::v1::EnvVar;

use super::pod::{field_variable, optional_secret_variable, secret_variable, variable};
use super::{addresses, component_name};
use crate::catalog::{Peer, SERVICES, TRACES, Tokens};
use crate::crd::S3Spec;
use crate::names;
use crate::validate::{MockProvider, Traces, ValidService, ValidShop};

/// Folder of the certificate by which neighbours know the service.
pub(super) const IDENTITY_FOLDER: &str = "/etc/shopkeeper/identity";
/// Folder of the keys that verify tokens.
pub(super) const AUTH_FOLDER: &str = "/etc/shopkeeper/auth";
/// File in it.
pub(super) const JWKS_FILE: &str = "jwks.json";
/// Folder of the keys that sign tokens.
pub(super) const SIGNING_FOLDER: &str = "/etc/shopkeeper/signing";

/// Folder with the shares of canaries.
pub(super) const TRAFFIC_FOLDER: &str = "/etc/shopkeeper/traffic";

/// Variables of a service's container and of its migration.
pub(super) fn of(shop: &ValidShop, service: &ValidService) -> Vec<EnvVar> {
    let mut env = vec![
        field_variable("POD_NAME", "metadata.name"),
        variable("OTEL_SERVICE_NAME", service.service.name),
        variable("OTEL_RESOURCE_ATTRIBUTES", resource_attributes(shop, service)),
        variable("SHOP_LOG", &service.log_level),
    ];
    env.extend(tracing(shop));
    env.extend(tokens(shop, service));
    for peer in service.service.peers {
        let (section, canary) = (peer.section, names::canary(peer.service));
        let url = |component: &str| format!("http://{}:9090", names::grpc(&shop.name, component));
        // Also while there is no canary: pods are not to start anew when there is one.
        env.extend([
            variable(&format!("{section}__URL"), url(peer.service)),
            variable(&format!("{section}__CANARY__URL"), url(&canary)),
            variable(&format!("{section}__CANARY__WEIGHT_FILE"), format!("{TRAFFIC_FOLDER}/{}", peer.service)),
        ]);
        env.extend(calls(shop, service, peer));
    }
    if meets_neighbours(shop, service) {
        env.push(variable("SHOP_MESH_IDENTITY", IDENTITY_FOLDER));
    }
    env.extend(addresses::env(shop, service.service));
    env.extend(particular(shop, service));
    env
}

/// How `service` calls `peer`, as far as the Shop says; the rest is the service's own business.
fn calls(shop: &ValidShop, service: &ValidService, peer: &Peer) -> impl Iterator<Item = EnvVar> {
    let edge = shop.edges.get(&format!("{}-{}", service.service.name, peer.service)).cloned().unwrap_or_default();
    let retries = edge.retries.unwrap_or_default();
    let faults = edge.faults.as_ref();
    let settings = [
        ("TIMEOUT", edge.timeout),
        ("RETRIES__ATTEMPTS", retries.attempts.map(|attempts| attempts.to_string())),
        ("RETRIES__PER_TRY_TIMEOUT", retries.per_try_timeout),
        ("RETRIES__BUDGET", retries.budget.map(|budget| budget.to_string())),
        ("FAULTS__PERCENT", faults.map(|faults| faults.percent.to_string())),
        ("FAULTS__DELAY", faults.and_then(|faults| faults.delay.clone())),
        ("FAULTS__ERROR", faults.and_then(|faults| faults.error).map(|error| error.as_str().to_owned())),
        ("FAULTS__RESET", faults.and_then(|faults| faults.reset).map(|reset| reset.to_string())),
    ];
    let section = peer.section;
    settings.into_iter().filter_map(move |(name, value)| Some(variable(&format!("{section}__{name}"), value?)))
}

/// Whether the service has a certificate to show.
pub(super) fn meets_neighbours(shop: &ValidShop, service: &ValidService) -> bool {
    shop.mtls && service.service.in_mesh()
}

fn resource_attributes(shop: &ValidShop, service: &ValidService) -> String {
    // The pod's name is put in by the kubelet, which knows the variables above this one.
    format!(
        "service.namespace={},service.version={},k8s.namespace.name={},k8s.pod.name=$(POD_NAME)",
        shop.name, service.version, shop.namespace
    )
}

fn tracing(shop: &ValidShop) -> Vec<EnvVar> {
    let (endpoint, headers) = match &shop.traces {
        Traces::Embedded { .. } => (format!("http://{}:4317", component_name(shop, TRACES)), None),
        Traces::Otlp { endpoint, headers } => (endpoint.clone(), headers.clone()),
        Traces::Disabled => return Vec::new(),
    };
    let mut env = vec![
        variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        variable("OTEL_TRACES_SAMPLER_ARG", &shop.sampling),
    ];
    env.extend(headers.map(|secret| secret_variable("OTEL_EXPORTER_OTLP_HEADERS", secret, "headers")));
    env
}

fn tokens(shop: &ValidShop, service: &ValidService) -> Vec<EnvVar> {
    let authority = format!("shopkeeper://{}/{}", shop.namespace, shop.name);
    let verify = [
        variable("SHOP_AUTH__JWKS_FILE", format!("{AUTH_FOLDER}/{JWKS_FILE}")),
        variable("SHOP_AUTH__ISSUER", &authority),
        variable("SHOP_AUTH__AUDIENCE", &authority),
    ];
    let sign = [variable("SHOP_SIGNING__FOLDER", SIGNING_FOLDER)];
    match service.service.tokens {
        Tokens::Ignores => Vec::new(),
        Tokens::Verifies => verify.into(),
        Tokens::Signs => verify.into_iter().chain(sign).collect(),
    }
}

/// Settings that only one service has.
fn particular(shop: &ValidShop, service: &ValidService) -> Vec<EnvVar> {
    let currency = || variable("SHOP_CURRENCY", &shop.currency);
    match service.service.name {
        "user" => user(shop),
        "product" => [currency()].into_iter().chain(product(shop)).collect(),
        "cart" => vec![currency()],
        "order" => vec![currency(), variable("SHOP_UNPAID_EXPIRY", &shop.unpaid_expiry)],
        "payment" => [currency()].into_iter().chain(provider(&shop.payment)).collect(),
        "delivery" => provider(&shop.delivery).collect(),
        "docs" => vec![variable("SHOP_UPSTREAMS", upstreams(shop))],
        _ => Vec::new(),
    }
}

fn product(shop: &ValidShop) -> Vec<EnvVar> {
    let mut env = vec![variable("SHOP_RESERVATION", &shop.reservation)];
    if let Some(S3Spec { bucket, endpoint, region, secret_name }) = &shop.images {
        let key = |name: &str, key: &str| secret_variable(name, secret_name.clone(), key);
        env.extend([variable("SHOP_IMAGES__BUCKET", bucket), variable("SHOP_IMAGES__REGION", region)]);
        env.extend(endpoint.as_ref().map(|endpoint| variable("SHOP_IMAGES__ENDPOINT", endpoint)));
        env.extend([
            key("SHOP_IMAGES__ACCESS_KEY_ID", "accessKeyId"),
            key("SHOP_IMAGES__SECRET_ACCESS_KEY", "secretAccessKey"),
        ]);
    }
    env
}

fn provider(mock: &MockProvider) -> impl Iterator<Item = EnvVar> {
    let outcomes = mock.outcomes.as_ref().map(|outcomes| variable("SHOP_PROVIDER__OUTCOMES", outcomes));
    [variable("SHOP_PROVIDER__LATENCY", &mock.latency)].into_iter().chain(outcomes)
}

fn user(shop: &ValidShop) -> Vec<EnvVar> {
    let limits = &shop.users.rate_limits;
    let limit = |name: &str, per_minute: i32| variable(&format!("SHOP_RATE_LIMITS__{name}"), per_minute.to_string());
    let admin = || shop.users.admin_secret_name.clone().unwrap_or_else(|| names::admin(&shop.name));
    let mut env = vec![
        variable("SHOP_PUBLIC_URL", &shop.public_url),
        secret_variable("SHOP_ADMIN_USER__EMAIL", admin(), "email"),
        secret_variable("SHOP_ADMIN_USER__PASSWORD", admin(), "password"),
        variable("SHOP_TRUSTED_PROXY_HOPS", shop.users.trusted_proxy_hops.to_string()),
        limit("LOGINS_PER_ACCOUNT", limits.logins_per_account),
        limit("LOGINS_PER_ADDRESS", limits.logins_per_address),
        limit("REGISTRATIONS_PER_ADDRESS", limits.registrations_per_address),
    ];
    env.extend(mail(shop));
    env
}

fn mail(shop: &ValidShop) -> Vec<EnvVar> {
    let Some(smtp) = &shop.users.mail.smtp else { return vec![variable("SHOP_MAIL__KIND", "log")] };
    let secret = || smtp.secret_name.clone();
    vec![
        variable("SHOP_MAIL__KIND", "smtp"),
        variable("SHOP_MAIL__FROM", &smtp.from),
        secret_variable("SHOP_MAIL__HOST", secret(), "host"),
        optional_secret_variable("SHOP_MAIL__PORT", secret(), "port"),
        optional_secret_variable("SHOP_MAIL__USERNAME", secret(), "username"),
        optional_secret_variable("SHOP_MAIL__PASSWORD", secret(), "password"),
        optional_secret_variable("SHOP_MAIL__TLS", secret(), "tls"),
    ]
}

/// Where the docs service finds the API description of the other six.
fn upstreams(shop: &ValidShop) -> String {
    let others = SERVICES.iter().filter(|service| service.name != "docs");
    let addresses =
        others.map(|service| format!("{}=http://{}:8081", service.name, component_name(shop, service.name)));
    addresses.collect::<Vec<_>>().join(",")
}
