//! Pure: whose an object is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::crd::Shop;
use crate::names;

/// Whether an owner is a Shop.
pub(crate) fn is_shop(owner: &OwnerReference) -> bool {
    owner.kind == Shop::kind(&()) && owner.api_version == Shop::api_version(&())
}

/// Whether it belongs to the Shop with this uid.
pub(crate) fn owns(uid: &str, found: &impl ResourceExt) -> bool {
    found.owner_references().iter().any(|owner| owner.uid == uid)
}

/// Whether it belongs to a Shop with another uid, which had the same name.
pub(crate) fn belongs_to_another(uid: &str, found: &impl ResourceExt) -> bool {
    found.owner_references().iter().any(|owner| is_shop(owner) && owner.uid != uid)
}

/// Whether it is labelled as made for the Shop of this name.
pub(crate) fn is_labelled(shop: &str, found: &impl ResourceExt) -> bool {
    let label = |key: &str| found.labels().get(key).map(String::as_str);
    label(names::MANAGED_BY_LABEL) == Some(names::MANAGER) && label(names::INSTANCE_LABEL) == Some(shop)
}

/// Whether somebody else made it: it neither belongs to the Shop nor is labelled as made for it, and is not taken over because
/// of its name.
pub(crate) fn is_foreign(shop: &str, uid: &str, found: &impl ResourceExt) -> bool {
    !owns(uid, found) && !is_labelled(shop, found)
}

/// The controller of an object that is to have another one. The API server takes one for each object, and refuses a second.
pub(crate) fn other_controller<'a>(
    wanted: &impl ResourceExt,
    found: &'a impl ResourceExt,
) -> Option<&'a OwnerReference> {
    let ours = controller(wanted)?;
    controller(found).filter(|theirs| theirs.uid != ours.uid)
}

fn controller(object: &impl ResourceExt) -> Option<&OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}
