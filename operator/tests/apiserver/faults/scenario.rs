//! What a Shop goes through in a run.

use serde_json::{Value, json};
use shopkeeper_testing::{Scene, rotation};

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
}

impl Scenario {
    pub const ALL: [Self; 5] = [Self::Create, Self::Change, Self::Upgrade, Self::Rotate, Self::Sleep];

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
        }
    }

    /// A part of a request that it is not without.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Create | Self::Sleep => "/statefulsets/acorn-postgres",
            Self::Change => "/deployments/acorn-order",
            Self::Upgrade => "/jobs/acorn-order-migrate-",
            Self::Rotate => "/secrets/acorn-credentials",
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
