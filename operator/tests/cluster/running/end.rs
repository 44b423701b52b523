//! How the Shop ends: its credentials by their age, and all of it by a deletion that leaves the volumes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use shopkeeper_operator::catalog::STORES;
use shopkeeper_testing::Scene;
use shopkeeper_testing::rotation::{its_time_is_over, standing};

use super::pods::{claim, have_stopped};
use super::sights::Sights;
use crate::scene::credentials;

/// Those that are older than they may get are replaced.
pub async fn of_the_credentials(scene: &Scene, sights: &Sights) {
    its_time_is_over(scene).await;
    scene.until_shop("CredentialsSettled", "False", Some("Publishing")).await;
    sights.same("credentials.maxAge", standing(&credentials(scene).await), (0, "Publishing".to_owned()));
}

/// The Shop as a whole lets its data go, and each store says otherwise.
pub async fn of_the_shop(scene: &Scene, sights: &Sights) {
    scene.delete().await;
    have_stopped(scene, |_| true).await;
    for store in STORES {
        let claim: Option<PersistentVolumeClaim> = scene.api().get_opt(&claim(store)).await.expect("an answer");
        let stays = claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none());
        sights.same(&format!("{store}.embedded.dataOnDelete"), stays, true);
    }
}
