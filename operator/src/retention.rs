//! What becomes of data when the Shop is deleted: who owns the volumes of stores, what other operators keep data in, and the
//! credentials that open all of it. It follows the spec before anything can be in the way, because a Shop that is blocked or paused
//! can be deleted too.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::apply::ownership::{belongs_to_another, is_labelled, is_shop, owns};
use crate::apply::{Error, amend, as_it_is};
use crate::catalog::{RABBITMQ, STORES};
use crate::crd::{DataOnDelete, Shop};
use crate::names;
use crate::objects::{Live, Objects};
use crate::observe::{Child, Observed};

/// A change of one object that is there, and of nothing else in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What changes in it.
    pub fate: Fate,
    /// Whether what it opens has to go with the Shop before.
    pub waits: bool,
}

/// What says whether data goes with the Shop.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// The owners of an object, which goes when none of them is left.
    Owners {
        /// Those that it has.
        old: Vec<OwnerReference>,
        /// Those that it gets.
        new: Vec<OwnerReference>,
    },
    /// What a StatefulSet knows about its volume.
    Policy {
        /// What it was told, if anything.
        old: Option<String>,
        /// What it is told.
        new: &'static str,
    },
}

impl Change {
    fn of<K: Child>(found: &K, fate: Fate) -> Self {
        Self { kind: K::kind(&()).into_owned(), name: found.name_any(), fate, waits: false }
    }

    fn of_owners<K: Child>(found: &K, new: Vec<OwnerReference>) -> Self {
        Self::of(found, Fate::Owners { old: found.owner_references().to_vec(), new })
    }

    fn patch(&self) -> Value {
        match &self.fate {
            Fate::Owners { new, .. } => json!({"metadata": {"ownerReferences": new}}),
            Fate::Policy { new, .. } => json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": new}}}),
        }
    }
}

/// Changes what does not follow yet. Gives back whether something waits for what Kubernetes does within moments.
pub async fn follow(client: &Client, shop: &Shop, observed: &mut Observed) -> Result<bool, Error> {
    write(client, changes(shop, observed), observed).await?;
    // Decided once more, by what the API server answered: what waited for these may not any more, and nothing waits for that.
    let left = changes(shop, observed);
    let waits = left.iter().any(|change| change.waits);
    write(client, left, observed).await?;
    Ok(waits && observed.objects.stateful_sets.iter().any(|set| is_yet_to_own(set, &observed.volume_claims)))
}

/// Whether a StatefulSet does not own its volume. One that no store has any more never gets an owner.
fn is_yet_to_own(set: &StatefulSet, volumes: &[PersistentVolumeClaim]) -> bool {
    let name = names::volume(&set.name_any());
    let volume = volumes.iter().find(|volume| volume.name_any() == name);
    volume.is_some_and(|volume| !owns(&set.uid().unwrap_or_default(), volume))
}

/// Tells what does not follow yet, in the order in which it is written.
#[must_use]
pub fn changes(shop: &Shop, observed: &Observed) -> Vec<Change> {
    let Observed { credentials, objects, volume_claims, .. } = observed;
    let (uid, goes) = (shop.uid().unwrap_or_default(), !shop.spec.keeps_data());
    let credentials = credentials.iter().filter_map(|secret| {
        // It is a moment before a volume that was just made has its owner.
        let waits = goes && !owns(&uid, secret) && !all_goes(&uid, volume_claims, objects);
        Some(Change { waits, ..own(shop, secret, goes)? })
    });
    let data = of_volumes(shop, &objects.stateful_sets, volume_claims).into_iter().chain(of_clusters(shop, objects));
    // What opens a volume is kept before the volume is, and goes after it was let go.
    if goes { data.chain(credentials).collect() } else { credentials.chain(data).collect() }
}

/// Writes what does not wait, and keeps what the API server answers.
async fn write(client: &Client, changes: Vec<Change>, observed: &mut Observed) -> Result<(), Error> {
    let Observed { credentials, objects, volume_claims, .. } = observed;
    for change in changes.into_iter().filter(|change| !change.waits) {
        if !lives(client, &change, &objects.stateful_sets).await? {
            continue;
        }
        write_among(client, &change, credentials.as_mut_slice()).await?;
        write_among(client, &change, &mut objects.secrets).await?;
        write_among(client, &change, &mut objects.stateful_sets).await?;
        write_among(client, &change, &mut objects.postgres_clusters).await?;
        write_among(client, &change, &mut objects.rabbitmq_clusters).await?;
        write_among(client, &change, volume_claims).await?;
    }
    Ok(())
}

/// Whether the StatefulSet that a change makes an owner is still there. The garbage collector takes what belongs to one that is gone,
/// also if somebody let go of its volume to keep it.
async fn lives(client: &Client, change: &Change, sets: &[StatefulSet]) -> Result<bool, Error> {
    let Fate::Owners { old, new } = &change.fate else { return Ok(true) };
    let added = |set: &&StatefulSet| {
        let owns = |owners: &[OwnerReference]| owners.iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
        owns(new) && !owns(old)
    };
    match sets.iter().find(added) {
        Some(set) => Ok(as_it_is(client, set).await?.is_some_and(|set| set.metadata.deletion_timestamp.is_none())),
        None => Ok(true),
    }
}

/// Writes a change if it is about one of these.
async fn write_among<K: Child>(client: &Client, change: &Change, objects: &mut [K]) -> Result<(), Error> {
    let meant = objects.iter_mut().find(|found| change.kind == K::kind(&()) && change.name == found.name_any());
    if let Some(found) = meant {
        *found = amend(client, found, change.patch()).await?;
    }
    Ok(())
}

/// Stateful sets are told, and volumes get what Kubernetes writes only while a pod that is ready has them.
fn of_volumes(shop: &Shop, sets: &[StatefulSet], volumes: &[PersistentVolumeClaim]) -> Vec<Change> {
    let uid = shop.uid().unwrap_or_default();
    let mut changes = Vec::new();
    for set in sets.iter().filter(|set| owns(&uid, *set)) {
        let Some(wanted) = wanted(shop, set) else { continue };
        changes.extend(untold(wanted, set));
        let name = names::volume(&set.name_any());
        if let Some(volume) = volumes.iter().find(|volume| volume.name_any() == name)
            && let Some(owners) = owners_of_volume(wanted, set, volume)
        {
            changes.push(Change::of_owners(volume, owners));
        }
    }
    changes
}

fn of_clusters(shop: &Shop, objects: &Objects<Live>) -> Vec<Change> {
    let goes = shop.spec.lifecycle.data_on_delete == DataOnDelete::Delete;
    let operated = shop.spec.rabbitmq.cluster_operator.is_some();
    let name = names::component(&shop.name_any(), RABBITMQ);
    let definitions = objects.secrets.iter().filter(|secret| operated && secret.name_any() == name);
    let definitions = definitions.filter_map(|secret| own(shop, secret, goes));
    let rabbitmq = objects.rabbitmq_clusters.iter().filter_map(|cluster| own(shop, cluster, goes));
    let postgres = objects.postgres_clusters.iter().filter_map(|cluster| own(shop, cluster, goes));
    definitions.chain(rabbitmq).chain(postgres).collect()
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
fn own<K: Child>(shop: &Shop, found: &K, goes: bool) -> Option<Change> {
    let uid = shop.uid().unwrap_or_default();
    if !is_labelled(&shop.name_any(), found) || belongs_to_another(&uid, found) {
        return None;
    }
    let owners = owners(shop, found, goes);
    (owners != found.owner_references()).then(|| Change::of_owners(found, owners))
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
fn untold(wanted: DataOnDelete, set: &StatefulSet) -> Option<Change> {
    let new = wanted.policy();
    let told = set.spec.as_ref()?.persistent_volume_claim_retention_policy.as_ref();
    let old = told.and_then(|policy| policy.when_deleted.clone());
    (old.as_deref() != Some(new)).then(|| Change::of(set, Fate::Policy { old, new }))
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
            let change = untold(data, &set).expect("a change").patch();
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
