//! What goes with the Shop and what stays, as people read it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use serde_json::{Value, json};

use super::{Action, Change, Difference};
use crate::apply::ownership::is_shop;
use crate::retention::{self, Fate};

impl From<retention::Change> for Change {
    fn from(change: retention::Change) -> Self {
        let retention::Change { kind, name, fate, waits } = change;
        let (path, old, new) = match fate {
            Fate::Owners { old, new } => ("metadata.ownerReferences", Some(told(&old)), told(&new)),
            Fate::Policy { old, new } => {
                ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", old.map(Value::String), json!(new))
            }
        };
        let field = Difference { path: path.to_owned(), old, new: Some(new) };
        Self { kind, name, action: Action::Change { fields: vec![field] }, later: waits }
    }
}

/// Nothing goes before the last of its owners.
fn told(owners: &[OwnerReference]) -> Value {
    let goes = |owner: &OwnerReference| is_shop(owner) || owner.kind == StatefulSet::kind(&());
    let names: Vec<String> = owners.iter().map(|owner| format!("{} {}", owner.kind, owner.name)).collect();
    Value::String(match names.join(", ") {
        names if names.is_empty() => "none: it stays".to_owned(),
        names if owners.iter().all(goes) => format!("{names}: it goes with the Shop"),
        names => format!("{names}: it stays"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{Shop, ShopSpec};

    #[test]
    fn what_somebody_else_owns_too_stays_when_the_shop_goes() {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.uid = Some("uid-1".to_owned());
        let ours = shop.owner_ref(&()).expect("a reference");
        let theirs =
            OwnerReference { kind: "Backup".to_owned(), name: "nightly".to_owned(), ..OwnerReference::default() };
        assert_eq!(told(std::slice::from_ref(&ours)), "Shop acorn: it goes with the Shop");
        assert_eq!(told(&[theirs, ours]), "Backup nightly, Shop acorn: it stays");
    }
}
