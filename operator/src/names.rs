//! Names and labels that must match in more than one place.

use std::collections::BTreeMap;

use crate::build::short_hash;
use crate::catalog::{MONGODB, POSTGRES, SERVICES, STORES};

/// Field manager of everything the operator applies, and value of the `managed-by` label.
pub const MANAGER: &str = "shopkeeper";
/// Field manager of the number of pods where an autoscaler decides it, until the autoscaler has written one itself, and of
/// Deployments of which nothing else is to change.
pub const SCALING_MANAGER: &str = "shopkeeper-autoscaling";

/// Selects the objects of all Shops.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=shopkeeper";

/// Label with the Shop's name.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Label with the component, for example `order`.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Label with the version that an object belongs to.
pub const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// Label of what belongs to a canary, with the value [`CANARY_TRACK`].
pub const TRACK_LABEL: &str = "shopkeeper.dev/track";
/// See [`TRACK_LABEL`].
pub const CANARY_TRACK: &str = "canary";
const NAME_LABEL: &str = "app.kubernetes.io/name";
const PART_OF_LABEL: &str = "app.kubernetes.io/part-of";
/// Label with what looks after an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Annotation with the hash of what was applied: a field that left the wanted state is only visible through it.
pub const APPLIED_ANNOTATION: &str = "shopkeeper.dev/applied";
/// Annotation of pod templates with the hash of the Secrets and `ConfigMap`s that their pods read at start.
pub const INPUTS_ANNOTATION: &str = "shopkeeper.dev/inputs";
/// Annotation of a store's pods with a time: pods that started before it show a certificate that is not good any more.
pub const CERTIFICATE_ANNOTATION: &str = "shopkeeper.dev/certificate-since";
/// Annotation of a store's StatefulSet that has no replica for a moment, because the operator took it.
pub const ROOM_ANNOTATION: &str = "shopkeeper.dev/makes-room";
/// Annotation of a Shop with which somebody asks for new passwords and keys: any value but the last one that was taken up, for
/// example the time.
pub const ROTATE_ANNOTATION: &str = "shopkeeper.dev/rotate";

/// Component of the pods that tell Redis other passwords.
pub const REDIS_USERS: &str = "redis-users";

/// Component of objects that belong to the Shop as a whole.
pub const SHOP_COMPONENT: &str = "shop";

/// Labels that find the pods of one component, and never change.
#[must_use]
pub fn selector(shop: &str, component: &str) -> BTreeMap<String, String> {
    [(NAME_LABEL, "shop"), (INSTANCE_LABEL, shop), (COMPONENT_LABEL, component)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Labels of all pods of a Shop, and of no others: the name and the instance alone are also those of a Helm chart that is called shop.
#[must_use]
pub fn selector_of_shop(shop: &str) -> BTreeMap<String, String> {
    [(NAME_LABEL, "shop"), (INSTANCE_LABEL, shop), (PART_OF_LABEL, "shopkeeper")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// All labels of an object. The Shop's own labels are not copied: tools that prune by label would take the children.
#[must_use]
pub fn labels(shop: &str, component: &str, version: &str) -> BTreeMap<String, String> {
    let mut labels = selector(shop, component);
    labels.extend(
        [(PART_OF_LABEL, "shopkeeper"), (MANAGED_BY_LABEL, MANAGER), (VERSION_LABEL, version)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    labels
}

/// Selects what the operator made for one Shop.
#[must_use]
pub fn of_shop(shop: &str) -> String {
    format!("{MANAGED_SELECTOR},{INSTANCE_LABEL}={shop}")
}

/// Name of the volume of a store in the template of its StatefulSet.
pub(crate) const DATA_VOLUME: &str = "data";

/// Name of the volume that a StatefulSet made for its only pod.
#[must_use]
pub fn volume(stateful_set: &str) -> String {
    format!("{DATA_VOLUME}-{stateful_set}-0")
}

/// Name of the object for one component.
#[must_use]
pub fn component(shop: &str, component: &str) -> String {
    format!("{shop}-{component}")
}

/// Name of the headless Service that gRPC clients resolve.
#[must_use]
pub fn grpc(shop: &str, service: &str) -> String {
    format!("{shop}-{service}-grpc")
}

/// Component of the pods that migrate a service's store.
#[must_use]
pub fn migration(service: &str) -> String {
    format!("{service}-migrate")
}

/// Component of the pods of a service's canary: another one than the service's own, whose selectors must not find them.
#[must_use]
pub fn canary(service: &str) -> String {
    format!("{service}-{CANARY_TRACK}")
}

/// Name of the `ConfigMap` with the shares of canaries.
#[must_use]
pub fn traffic(shop: &str) -> String {
    format!("{shop}-traffic")
}

/// Name of the Secret with every generated password and key.
#[must_use]
pub fn credentials(shop: &str) -> String {
    format!("{shop}-credentials")
}

/// Name of the Secret with the first admin's log-in.
#[must_use]
pub fn admin(shop: &str) -> String {
    format!("{shop}-admin")
}

/// Name of the Secret with the log-ins that migrations make known to a store, once any was replaced.
#[must_use]
pub fn logins(shop: &str, store: &str) -> String {
    format!("{shop}-{store}-logins")
}

/// Name of the Secret with the key that signs access tokens.
#[must_use]
pub fn signing(shop: &str) -> String {
    format!("{shop}-jwt-signing")
}

/// Name of the Secret with the certificate by which a service's neighbours know it.
#[must_use]
pub fn identity(shop: &str, service: &str) -> String {
    format!("{shop}-{service}-identity")
}

/// Name of the `ConfigMap` with the keys that verify access tokens.
#[must_use]
pub fn jwks(shop: &str) -> String {
    format!("{shop}-jwt-keys")
}

/// Name of the Secret with the certificate that an embedded store shows.
#[must_use]
pub fn certificate(shop: &str, store: &str) -> String {
    format!("{shop}-{store}-tls")
}

/// Name of the `ConfigMap` with the authorities of the stores' certificates.
#[must_use]
pub fn store_authorities(shop: &str) -> String {
    format!("{shop}-store-authorities")
}

/// The file in it with the authority of one store.
#[must_use]
pub fn authority_file(store: &str) -> String {
    format!("{store}.crt")
}

/// Name of a service's role and database on a server that other Shops may use too. PostgreSQL takes 63 characters.
#[must_use]
pub fn on_shared_server(namespace: &str, shop: &str, service: &str) -> String {
    format!("{shop}-{service}-{}", short_hash(format!("{namespace}/{shop}").as_bytes()))
}

/// Name of the Secret with which CloudNativePG lets the superuser in.
#[must_use]
pub fn superuser(cluster: &str) -> String {
    format!("{cluster}-superuser")
}

/// Name of the Secret in which CloudNativePG keeps the authority of its certificates.
#[must_use]
pub fn cluster_authority(cluster: &str) -> String {
    format!("{cluster}-ca")
}

/// Names of the Secrets with certificates, those of the services first.
#[must_use]
pub fn certificates(shop: &str) -> Vec<String> {
    let members = SERVICES.iter().filter(|service| service.in_mesh()).map(|service| identity(shop, service.name));
    members.chain(STORES.map(|store| certificate(shop, store))).collect()
}

/// Names of the Secrets made from the credentials. They are fetched by name, because listing Secrets would need the
/// right to read all of them.
#[must_use]
pub fn derived_secrets(shop: &str) -> Vec<String> {
    let services = SERVICES.iter().filter(|service| !service.stores.is_empty()).map(|service| service.name);
    services
        .chain(STORES)
        .map(|name| component(shop, name))
        .chain(certificates(shop))
        .chain([admin(shop), signing(shop), logins(shop, POSTGRES), logins(shop, MONGODB)])
        .collect()
}
