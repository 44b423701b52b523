//! Metadata that every object carries, and the identities of pods.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::component_name;
use crate::catalog::TRACES;
use crate::crd::DataOnDelete;
use crate::names;
use crate::validate::{Traces, ValidShop};

/// Metadata of an object of one component, owned by the Shop.
pub(super) fn metadata(shop: &ValidShop, component: &str, name: String) -> ObjectMeta {
    versioned(shop, component, name, &shop.version)
}

/// The same for what has a version of its own: a store, or a service with its own image.
pub(super) fn versioned(shop: &ValidShop, component: &str, name: String, version: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(shop.namespace.clone()),
        labels: Some(names::labels(&shop.name, component, version)),
        owner_references: Some(vec![shop.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Marks an object, or pods, of a canary.
pub(super) fn mark(metadata: &mut ObjectMeta) {
    metadata.labels.get_or_insert_default().insert(names::TRACK_LABEL.to_owned(), names::CANARY_TRACK.to_owned());
}

/// Metadata of what another operator keeps data in: deleting it deletes the data, so with `Retain` it is nobody's.
pub(super) fn of_data(shop: &ValidShop, component: &str, name: String) -> ObjectMeta {
    let mut metadata = metadata(shop, component, name);
    metadata.owner_references = metadata.owner_references.filter(|_| shop.data_on_delete == DataOnDelete::Delete);
    metadata
}

/// Finds the pods of one component.
pub(super) fn selector(shop: &ValidShop, component: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(names::selector(&shop.name, component)), ..LabelSelector::default() }
}

/// One identity per component, without a token: nothing in a Shop talks to the API server.
pub(super) fn service_accounts(shop: &ValidShop) -> Vec<ServiceAccount> {
    let services = shop.services.iter().map(|service| service.service.name);
    let traces = matches!(shop.traces, Traces::Embedded { .. }).then_some(TRACES);
    let components = services.chain(shop.embedded_stores()).chain(traces);
    components
        .map(|component| ServiceAccount {
            metadata: metadata(shop, component, component_name(shop, component)),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        })
        .collect()
}
