//! The replica that a store lent so that its next pod finds room (`rollout/stuck.rs`). It comes back whatever became of the Shop
//! meanwhile: nobody who pauses a Shop, or whose Shop is blocked, wants a store stopped.

use kube::{Client, ResourceExt};
use serde_json::json;

use crate::apply::{Error, amend, ownership::owns};
use crate::crd::Shop;
use crate::names;
use crate::observe::Observed;
use crate::rollout::is_owed_its_replica;

/// Gives it back to each store that it was taken from.
pub(super) async fn give_back(client: &Client, shop: &Shop, observed: &mut Observed) -> Result<(), Error> {
    let uid = shop.uid().unwrap_or_default();
    for set in &mut observed.objects.stateful_sets {
        if owns(&uid, set) && is_owed_its_replica(set, &observed.pods) {
            let change = json!({
                "metadata": {"annotations": {names::ROOM_ANNOTATION: null}}, "spec": {"replicas": 1},
            });
            *set = amend(client, set, change).await?;
        }
    }
    Ok(())
}
