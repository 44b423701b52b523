//! What a Shop goes through in a run.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use shopkeeper_testing::{Scene, rotation};

use crate::deletion::{is_free, is_owned, volumes};

/// A part of a Shop's life. All but the first begin when a Shop has become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// It is made and becomes ready.
    Create,
    /// Parts of it change, and a part leaves.
    Change,
    /// Another version is wanted: every store is migrated, and every pod of a service replaced.
    Upgrade,
    /// All its credentials are replaced.
    Rotate,
    /// It is stopped, and woken again.
    Sleep,
    /// What becomes of its data when it is deleted changes, and changes again while it is stopped.
    Keep,
    /// The load decides how many pods a service has, and then the Shop again.
    Scale,
}

impl Scenario {
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Change, Self::Upgrade, Self::Rotate, Self::Sleep, Self::Keep, Self::Scale];

    /// Plays it, and says when what comes before has ended.
    pub async fn play(self, scene: &Scene, begin: impl FnOnce()) {
        if self == Self::Create {
            begin();
            create(scene).await;
        } else {
            create(scene).await;
            begin();
        }
        match self {
            Self::Create => {}
            Self::Change => {
                let change = json!({
                    "services": {"cart": {"replicas": 1}, "order": {"replicas": 2, "logLevel": "debug"}},
                    "telemetry": {"embedded": null, "disabled": {}},
                });
                edit(scene, &change).await;
            }
            Self::Upgrade => edit(scene, &json!({"version": "9.9.9"})).await,
            Self::Rotate => rotation::rotate(scene).await,
            Self::Sleep => scene.hibernate_and_wake().await,
            Self::Keep => keep(scene).await,
            Self::Scale => scale(scene).await,
        }
    }

    /// A part of a request that it is not without.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Create | Self::Sleep => "/statefulsets/acorn-postgres",
            Self::Change => "/deployments/acorn-order",
            Self::Upgrade => "/jobs/acorn-order-migrate-",
            Self::Rotate => "/secrets/acorn-credentials",
            Self::Keep => "/persistentvolumeclaims/data-acorn-",
            Self::Scale => "/horizontalpodautoscalers/acorn-cart",
        }
    }

    /// How often it replaces the credentials.
    pub fn rotations(self) -> u64 {
        u64::from(self == Self::Rotate)
    }
}

async fn create(scene: &Scene) {
    let spec = json!({"host": "acorn.test", "services": {"cart": {"replicas": 2}}});
    scene.create(&spec).await.expect("a Shop");
    scene.until_shop("Ready", "True", None).await;
}

async fn edit(scene: &Scene, change: &Value) {
    scene.edit(change).await.expect("an edit");
    scene.until_shop("Ready", "True", None).await;
}

async fn keep(scene: &Scene) {
    lifecycle(scene, &json!({"dataOnDelete": "Delete"})).await;
    // Credentials follow when somebody looks again: nobody hears of volumes.
    volumes(scene, "belong to their stores", is_owned).await;
    lifecycle(scene, &json!({"dataOnDelete": "Retain", "hibernated": true})).await;
    scene.until_shop("Progressing", "False", Some("Hibernated")).await;
    volumes(scene, "belong to nobody", is_free).await;
    // Nobody but the operator sees to volumes without pods: in every run it writes each of them.
    lifecycle(scene, &json!({"dataOnDelete": "Delete"})).await;
    scene.until::<Secret>("acorn-credentials", "belong to the Shop", is_owned).await;
    lifecycle(scene, &json!({"dataOnDelete": "Retain", "hibernated": false})).await;
    scene.until_shop("Ready", "True", None).await;
}

async fn lifecycle(scene: &Scene, change: &Value) {
    scene.edit(&json!({ "lifecycle": change })).await.expect("an edit");
}

async fn scale(scene: &Scene) {
    const CART: &str = "acorn-cart";
    let by_load = json!({"replicas": null, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}});
    edit(scene, &json!({"services": {"cart": by_load}})).await;
    let kept = |found: Option<&Deployment>| found.and_then(|found| found.spec.as_ref()?.replicas) == Some(2);
    scene.until(CART, "has the pods that it had", kept).await;
    // No autoscaler runs here.
    let more = Patch::Merge(json!({"spec": {"replicas": 3}}));
    scene.api::<Deployment>().patch_scale(CART, &PatchParams::default(), &more).await.expect("an edit");
    edit(scene, &json!({"services": {"cart": {"replicas": 2, "autoscaling": null}}})).await;
}
