//! What becomes of data when the Shop is deleted: who owns the volumes of stores, what other operators keep data in, and the
//! credentials that open all of it. It follows the spec before anything can be in the way, because a Shop that is blocked or paused
//! can be deleted too.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::apply::ownership::{belongs_to_another, is_labelled, is_shop, owns};
use crate::apply::{Error, amend};
use crate::catalog::{RABBITMQ, STORES};
use crate::crd::{DataOnDelete, Shop};
use crate::names;
use crate::objects::{Live, Objects};
use crate::observe::{Child, Observed};

/// Changes what does not follow yet.
pub async fn follow(client: &Client, shop: &Shop, observed: &mut Observed) -> Result<(), Error> {
    let uid = shop.uid().unwrap_or_default();
    let Observed { credentials, objects, volume_claims, .. } = observed;
    let keeps = shop.spec.keeps_data();
    // What opens a volume is kept before the volume is, and goes after it was let go.
    if let Some(secret) = credentials.as_mut().filter(|_| keeps) {
        own(client, shop, secret, false).await?;
    }
    volumes_follow(client, shop, &mut objects.stateful_sets, volume_claims).await?;
    clusters_follow(client, shop, objects).await?;
    if let Some(secret) = credentials.as_mut().filter(|_| !keeps) {
        // It is a moment before a volume that was just made has its owner.
        let goes = owns(&uid, secret) || all_goes(&uid, volume_claims, objects);
        own(client, shop, secret, goes).await?;
    }
    Ok(())
}

/// Tells stateful sets, and writes into volumes what Kubernetes does only while a pod that is ready has them.
async fn volumes_follow(
    client: &Client,
    shop: &Shop,
    sets: &mut [StatefulSet],
    volumes: &mut [PersistentVolumeClaim],
) -> Result<(), Error> {
    let uid = shop.uid().unwrap_or_default();
    for set in sets.iter_mut().filter(|set| owns(&uid, *set)) {
        let Some(wanted) = wanted(shop, set) else { continue };
        if let Some(change) = untold(wanted, set) {
            *set = amend(client, set, change).await?;
        }
        let name = names::volume(&set.name_any());
        if let Some(volume) = volumes.iter_mut().find(|volume| volume.name_any() == name)
            && let Some(owners) = owners_of_volume(wanted, set, volume)
        {
            *volume = amend(client, volume, json!({"metadata": {"ownerReferences": owners}})).await?;
        }
    }
    Ok(())
}

async fn clusters_follow(client: &Client, shop: &Shop, objects: &mut Objects<Live>) -> Result<(), Error> {
    let goes = shop.spec.lifecycle.data_on_delete == DataOnDelete::Delete;
    let Objects { postgres_clusters, rabbitmq_clusters, secrets, .. } = objects;
    if shop.spec.rabbitmq.cluster_operator.is_some() {
        let definitions = names::component(&shop.name_any(), RABBITMQ);
        for secret in secrets.iter_mut().filter(|secret| secret.name_any() == definitions) {
            own(client, shop, secret, goes).await?;
        }
    }
    for cluster in rabbitmq_clusters {
        own(client, shop, cluster, goes).await?;
    }
    for cluster in postgres_clusters {
        own(client, shop, cluster, goes).await?;
    }
    Ok(())
}

/// Whether nothing stays that the credentials open: each volume belongs to its StatefulSet, and each cluster to the Shop.
fn all_goes(uid: &str, volumes: &[PersistentVolumeClaim], objects: &Objects<Live>) -> bool {
    let has_a_set = |volume: &PersistentVolumeClaim| {
        volume.owner_references().iter().any(|owner| owner.kind == StatefulSet::kind(&()))
    };
    volumes.iter().all(has_a_set)
        && objects.postgres_clusters.iter().all(|cluster| owns(uid, cluster))
        && objects.rabbitmq_clusters.iter().all(|cluster| owns(uid, cluster))
}

/// Makes the Shop the owner of an object that goes with it, and of no other.
async fn own<K: Child>(client: &Client, shop: &Shop, found: &mut K, goes: bool) -> Result<(), Error> {
    let uid = shop.uid().unwrap_or_default();
    if !is_labelled(&shop.name_any(), found) || belongs_to_another(&uid, found) {
        return Ok(());
    }
    let owners = owners(shop, found, goes);
    if owners != found.owner_references() {
        *found = amend(client, found, json!({"metadata": {"ownerReferences": owners}})).await?;
    }
    Ok(())
}

/// Owners of other kinds are left alone.
fn owners(shop: &Shop, found: &impl ResourceExt, goes: bool) -> Vec<OwnerReference> {
    let others: Vec<_> = found.owner_references().iter().filter(|owner| !is_shop(owner)).cloned().collect();
    let ours = reference_to(shop, &others).filter(|_| goes);
    others.into_iter().chain(ours).collect()
}

/// What becomes of the volume of a StatefulSet, if it is one of a store.
fn wanted(shop: &Shop, set: &StatefulSet) -> Option<DataOnDelete> {
    let (shop_name, name) = (shop.name_any(), set.name_any());
    let store = STORES.into_iter().find(|store| names::component(&shop_name, store) == name)?;
    Some(shop.spec.data_on_delete(shop.spec.embedded(store)?))
}

/// What a StatefulSet is to be told of its volume, if it was told something else.
fn untold(wanted: DataOnDelete, set: &StatefulSet) -> Option<Value> {
    let wanted = wanted.policy();
    let told = set.spec.as_ref()?.persistent_volume_claim_retention_policy.as_ref();
    let told = told.and_then(|policy| policy.when_deleted.as_deref());
    let change = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": wanted}}});
    (told != Some(wanted)).then_some(change)
}

/// The owners that a volume is to have, if it has others. Those that are no StatefulSet of the Shop's are left alone.
fn owners_of_volume(
    wanted: DataOnDelete,
    set: &StatefulSet,
    volume: &PersistentVolumeClaim,
) -> Option<Vec<OwnerReference>> {
    let (of_set, mut owners): (Vec<_>, Vec<_>) =
        volume.owner_references().iter().cloned().partition(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
    match wanted {
        DataOnDelete::Retain => (!of_set.is_empty()).then_some(owners),
        // A pod that starts will be ready, and until then a volume that stays is no loss.
        DataOnDelete::Delete if of_set.is_empty() && sleeps(set) => {
            owners.extend(reference_to(set, &owners));
            Some(owners)
        }
        DataOnDelete::Delete => None,
    }
}

fn sleeps(set: &StatefulSet) -> bool {
    set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
}

/// A reference to what goes together with something that has these owners. There may be one controller: what restores a Secret may
/// say that it is it.
fn reference_to<K: Child>(of: &K, others: &[OwnerReference]) -> Option<OwnerReference> {
    let controlled = others.iter().any(|owner| owner.controller == Some(true));
    if controlled { of.owner_ref(&()) } else { of.controller_owner_ref(&()) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSetSpec;

    use super::*;
    use crate::crd::ShopSpec;
    use crate::kinds::{PostgresCluster, PostgresClusterSpec};

    const UID: &str = "uid-1";

    fn shop() -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.uid = Some(UID.to_owned());
        shop
    }

    fn owner(kind: &str, uid: &str) -> OwnerReference {
        OwnerReference { kind: kind.to_owned(), uid: uid.to_owned(), ..OwnerReference::default() }
    }

    #[test]
    fn credentials_wait_for_every_volume_and_cluster_that_still_stays() {
        let mut volumes = [PersistentVolumeClaim::default(), PersistentVolumeClaim::default()];
        let mut objects = Objects::default();
        for last in 0..volumes.len() {
            assert!(!all_goes(UID, &volumes, &objects));
            volumes[last].owner_references_mut().push(owner("StatefulSet", "uid-2"));
        }
        assert!(all_goes(UID, &volumes, &objects));
        objects.postgres_clusters.push(PostgresCluster::new("acorn-postgres", PostgresClusterSpec::default()));
        assert!(!all_goes(UID, &volumes, &objects));
        objects.postgres_clusters[0].owner_references_mut().push(owner("Shop", UID));
        assert!(all_goes(UID, &volumes, &objects));
    }

    #[test]
    fn an_owner_of_another_kind_stays_whatever_becomes_of_the_shop() {
        let (mut volume, theirs) = (PersistentVolumeClaim::default(), owner("Backup", "uid-3"));
        volume.owner_references_mut().push(theirs.clone());
        assert_eq!(owners(&shop(), &volume, false), std::slice::from_ref(&theirs));
        let ours = owners(&shop(), &volume, true);
        assert_eq!((&ours[0], ours[1].uid.as_str()), (&theirs, UID));
        volume.metadata.owner_references = Some(ours);
        assert_eq!(owners(&shop(), &volume, false), [theirs]);
    }

    #[test]
    fn a_store_is_told_what_it_says_itself_and_else_what_the_shop_says_and_only_once() {
        let mut shop = shop();
        shop.spec.redis.embedded.as_mut().expect("a store").data_on_delete = Some(DataOnDelete::Delete);
        for (name, wanted) in [("acorn-redis", "Delete"), ("acorn-postgres", "Retain")] {
            let mut set = StatefulSet { spec: Some(StatefulSetSpec::default()), ..StatefulSet::default() };
            set.metadata.name = Some(name.to_owned());
            let data = super::wanted(&shop, &set).expect("a store");
            let change = untold(data, &set).expect("a change");
            let policy = &change["spec"]["persistentVolumeClaimRetentionPolicy"];
            assert_eq!(policy["whenDeleted"], wanted);
            let told = &mut set.spec.as_mut().expect("a spec").persistent_volume_claim_retention_policy;
            told.get_or_insert_default().when_deleted = Some(wanted.to_owned());
            assert_eq!(untold(data, &set), None);
        }
        let mut other = StatefulSet::default();
        other.metadata.name = Some("acorn-else".to_owned());
        assert_eq!(super::wanted(&shop, &other), None);
    }

    #[test]
    fn a_volume_goes_with_its_stateful_set_or_not_and_other_owners_of_it_stay() {
        let mut set = StatefulSet::default();
        set.metadata.name = Some("acorn-redis".to_owned());
        set.metadata.uid = Some("uid-2".to_owned());
        set.spec = Some(StatefulSetSpec { replicas: Some(0), ..StatefulSetSpec::default() });
        let (mut volume, theirs) = (PersistentVolumeClaim::default(), owner("Backup", "uid-3"));
        volume.owner_references_mut().push(theirs.clone());
        assert_eq!(owners_of_volume(DataOnDelete::Retain, &set, &volume), None);
        let owned = owners_of_volume(DataOnDelete::Delete, &set, &volume).expect("a change");
        assert_eq!((&owned[0], owned[1].uid.as_str(), owned[1].controller), (&theirs, "uid-2", Some(true)));
        volume.metadata.owner_references = Some(owned);
        assert_eq!(owners_of_volume(DataOnDelete::Delete, &set, &volume), None);
        assert_eq!(owners_of_volume(DataOnDelete::Retain, &set, &volume), Some(vec![theirs]));
    }
}
