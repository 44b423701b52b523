//! Pure: whether a Shop can use the Secret that was found, or may make one.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;

use super::values::{self, MESH};
use crate::apply::ownership::{belongs_to_another, is_labelled, owns};
use crate::catalog;
use crate::crd::Shop;
use crate::names;

/// What only a volume knows beside the Secret, by store: only who is let in with it can change it. What else a store asks for it is
/// told again, by migrations or at its next start.
const SUPERUSERS: [(&str, &str); 2] = [(catalog::POSTGRES, values::POSTGRES), (catalog::MONGODB, values::MONGODB)];

/// Why a Shop must neither use the Secret that was found nor make one.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It belongs to a deleted Shop of the same name and is about to be collected.
    #[error("a deleted Shop of this name is still being collected: its credentials")]
    Leaving,
    /// Somebody else made it, or restored it.
    #[error(
        "Secret {secret} does not say whose it is. If it is this Shop's, restored without its labels, give it {labels}; never \
         delete it, because nothing else may open the data. If it is somebody else's, make the Shop under another name"
    )]
    Foreign {
        /// Name of the Secret.
        secret: String,
        /// The labels that the Shop's has.
        labels: String,
    },
    /// It is gone, and what it opens is there.
    #[error(
        "Secret {secret} does not exist, and {volume} does, which only that Secret opens. If the volume is this Shop's, restore the \
         Secret from a backup; if it is somebody else's, make the Shop under another name. To begin anew without the data, \
         delete the Shop's StatefulSets, if there are any, and then its volumes"
    )]
    Lost {
        /// Name of the Secret.
        secret: String,
        /// Name of a volume.
        volume: String,
    },
    /// One of its values is gone, and what it opens is there.
    #[error(
        "Secret {secret} has no {key}, which opens {volume}: copy it from `password` of the Secret {store}, if that is there, or \
         from a backup. To begin anew without that data, delete the StatefulSet {store} and then the volume"
    )]
    LostKey {
        /// Name of the Secret.
        secret: String,
        /// The key that has no value.
        key: &'static str,
        /// Name of the volume.
        volume: String,
        /// Name of the store's objects.
        store: String,
    },
    /// The authority is gone, and what it issued is there.
    #[error(
        "Secret {secret} has no {key}, which issued what is shown now: restore the value from a backup, or delete the Secrets \
         {certificates} to begin with another authority, which pods learn of one after the other"
    )]
    LostAuthority {
        /// Name of the Secret.
        secret: String,
        /// The key that has no value.
        key: &'static str,
        /// Names of the Secrets with certificates.
        certificates: String,
    },
}

impl Unfit {
    /// A word for conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Leaving => "PreviousShopLeaving",
            Self::Foreign { .. } => "NameTaken",
            Self::Lost { .. } | Self::LostKey { .. } | Self::LostAuthority { .. } => "CredentialsLost",
        }
    }
}

/// Tells whether a found Secret can be used by this Shop, or one can be made where there is none. `secrets` are those made from it.
pub fn judge(
    found: Option<Secret>,
    shop: &Shop,
    volumes: &[PersistentVolumeClaim],
    secrets: &[Secret],
) -> Result<Option<Secret>, Unfit> {
    let name = shop.name_any();
    let Some(secret) = found else {
        return match volumes.first() {
            Some(volume) => Err(Unfit::Lost { secret: names::credentials(&name), volume: volume.name_any() }),
            None => Ok(None),
        };
    };
    if !is_labelled(&name, &secret) {
        let labels = names::of_shop(&name).replace(',', " and ");
        return Err(Unfit::Foreign { secret: secret.name_any(), labels });
    }
    let leaving =
        secret.metadata.deletion_timestamp.is_some() || belongs_to_another(&shop.uid().unwrap_or_default(), &secret);
    if leaving {
        return Err(Unfit::Leaving);
    }
    match lost(&secret, shop, volumes, secrets) {
        Some(unfit) => Err(unfit),
        None => Ok(Some(secret)),
    }
}

/// A value that is missing although what was made with it is there, and would not take another one.
fn lost(credentials: &Secret, shop: &Shop, volumes: &[PersistentVolumeClaim], secrets: &[Secret]) -> Option<Unfit> {
    let (name, uid) = (shop.name_any(), shop.uid().unwrap_or_default());
    let has = |key: &str| {
        let value = credentials.data.as_ref().and_then(|data| data.get(key));
        value.is_some_and(|value| !value.0.is_empty())
    };
    for (store, key) in SUPERUSERS {
        let store = names::component(&name, store);
        let volume = names::volume(&store);
        if !has(key) && volumes.iter().any(|found| found.name_any() == volume) {
            return Some(Unfit::LostKey { secret: credentials.name_any(), key, volume, store });
        }
    }
    let known = names::certificates(&name);
    let issued = secrets.iter().filter(|leaf| owns(&uid, *leaf) && known.contains(&leaf.name_any()));
    let issued: Vec<String> = issued.map(ResourceExt::name_any).collect();
    let lost = !has(MESH) && !issued.is_empty();
    lost.then(|| Unfit::LostAuthority { secret: credentials.name_any(), key: MESH, certificates: issued.join(", ") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::Resource;

    use super::super::{fresh_secret, values::wanted_keys};
    use super::*;
    use crate::crd::{DataOnDelete, ShopSpec};

    const UID: &str = "uid-1";

    fn shop() -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.uid = Some(UID.to_owned());
        shop.metadata.namespace = Some("oak".to_owned());
        shop
    }

    /// The Shop's credentials without one of their values.
    fn without(key: &str) -> Secret {
        let mut values: BTreeMap<String, String> =
            wanted_keys().into_iter().map(|key| (key.clone(), format!("dummy-{key}"))).collect();
        values.insert(key.to_owned(), String::new());
        fresh_secret(&shop(), values)
    }

    fn volume(store: &str) -> PersistentVolumeClaim {
        let mut volume = PersistentVolumeClaim::default();
        volume.metadata.name = Some(format!("data-acorn-{store}-0"));
        volume
    }

    fn certificate(of: &Shop) -> Secret {
        let mut certificate = Secret::default();
        certificate.metadata.name = Some("acorn-cart-identity".to_owned());
        certificate.metadata.owner_references = of.controller_owner_ref(&()).map(|owner| vec![owner]);
        certificate
    }

    #[test]
    fn a_secret_of_a_deleted_shop_of_the_same_name_is_waited_for() {
        let mut shop = shop();
        shop.spec.lifecycle.data_on_delete = DataOnDelete::Delete;
        let mut secret = fresh_secret(&shop, BTreeMap::new());
        assert!(matches!(judge(Some(secret.clone()), &shop, &[], &[]), Ok(Some(_))));
        secret.owner_references_mut()[0].uid = "uid-0".to_owned();
        assert_eq!(judge(Some(secret), &shop, &[], &[]), Err(Unfit::Leaving));
    }

    #[test]
    fn a_secret_without_the_labels_of_the_shop_is_kept_and_it_is_said_which_ones_are_missing() {
        let mut secret = without("redis.cart");
        secret.metadata.labels = None;
        let unfit = judge(Some(secret), &shop(), &[], &[]).expect_err("it may be somebody else's");
        let told = unfit.to_string();
        let labels = "app.kubernetes.io/managed-by=shopkeeper and app.kubernetes.io/instance=acorn";
        assert!(told.contains(labels) && told.contains("never delete it"), "{told}");
    }

    #[test]
    fn a_superuser_is_lost_with_its_volume_only_and_users_that_stores_are_told_of_never_are() {
        let check = |key: &str, store: &str, expected: bool| {
            let judged = judge(Some(without(key)), &shop(), &[volume(store)], &[]);
            assert_eq!(matches!(judged, Err(Unfit::LostKey { .. })), expected, "{key} beside {store}: {judged:?}");
        };
        check("postgres-superuser", "postgres", true);
        check("mongodb-root", "mongodb", true);
        check("postgres-superuser", "mongodb", false);
        check("postgres.order", "postgres", false);
        check("redis-keeper", "redis", false);
    }

    #[test]
    fn an_authority_is_lost_with_what_it_issued_and_may_be_made_where_it_issued_nothing() {
        let judged = |secrets: &[Secret]| judge(Some(without(MESH)), &shop(), &[volume("postgres")], secrets);
        assert!(matches!(judged(&[]), Ok(Some(_))), "an earlier version made none");
        let unfit = judged(&[certificate(&shop())]).expect_err("it issued one");
        assert!(unfit.to_string().contains("acorn-cart-identity"), "{unfit}");
        let mut other = shop();
        other.metadata.uid = Some("uid-0".to_owned());
        assert!(matches!(judged(&[certificate(&other)]), Ok(Some(_))), "it is not this Shop's");
    }
}
