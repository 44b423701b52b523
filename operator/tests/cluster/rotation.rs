//! All passwords and keys of a Shop are replaced while people buy.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use shopkeeper_testing::Scene;
use shopkeeper_testing::rotation::{arrives_at, ask, it_begins, it_lasts, its_time_is_over};

use crate::logins::{Logins, Superusers};
use crate::market::{self, Market};
use crate::scene::with_scene;

/// Everything that services log in with.
const ALL: [&str; 7] = ["order", "payment", "delivery", "product", "amqp", "redis", "user"];

#[tokio::test]
async fn a_rotation_replaces_all_credentials_without_a_refused_request_and_ends_the_old_ones() {
    with_scene(async |scene| {
        scene.create(&market::spec(&scene, &json!({}))).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let mut market = Market::open(&scene).await;
        let (old, tokens) = (Logins::of(&scene).await, market.log_in().await);
        let superusers = Superusers::of(&scene).await;

        let moved = async {
            ask(&scene).await;
            scene.until_shop("CredentialsSettled", "False", Some("Publishing")).await;
            // The next stage is the one that replaces what superusers log in with.
            let published = it_lasts(&scene);
            scene.until_shop("Ready", "True", None).await;
            assert_eq!(old.taken(&scene).await, ALL);
            assert_eq!(superusers.taken(&scene).await, ["postgres", "mongodb"]);
            drop(published);
            // The operator's own pause is what is tried here: every pod has to know what is coming by then.
            it_begins(&scene).await;
            scene.until_shop("CredentialsSettled", "False", Some("Moving")).await;
            let in_use = it_lasts(&scene);
            scene.until_shop("Ready", "True", None).await;
            assert_eq!(old.taken(&scene).await, ALL, "somebody may still use them");
            in_use
        };
        let in_use = Box::pin(market.during(moved)).await;
        market.log_in().await;
        drop(in_use);
        let closed = async {
            its_time_is_over(&scene).await;
            arrives_at(&scene, "Closing").await;
        };
        Box::pin(market.during(closed)).await;
        let nothing: [&str; 0] = [];
        assert_eq!(old.taken(&scene).await, nothing, "old log-ins are good for ever");
        assert_eq!(superusers.taken(&scene).await, nothing, "old passwords of superusers are good for ever");
        assert_eq!(Superusers::of(&scene).await.taken(&scene).await, ["postgres", "mongodb"]);

        market.log_in().await;
        let settled = async {
            // The last tokens of the old key would run out in a quarter of an hour; everybody has a newer one.
            its_time_is_over(&scene).await;
            scene.until_shop("CredentialsSettled", "True", None).await;
            scene.until_shop("Ready", "True", None).await;
            files_are_swapped(&scene, "order").await;
        };
        Box::pin(market.during(settled)).await;
        for token in tokens {
            market.until_unknown(&token).await;
        }
        market.audit(&scene).await;
        drop(operator);
    })
    .await;
}

/// A kubelet swaps files when it looks at a pod: every minute or so, and when the pod is changed.
pub async fn files_are_swapped(scene: &Scene, component: &str) {
    for pod in scene.pods(component).await {
        let change = json!({"metadata": {"annotations": {"shopkeeper.dev/test": "now"}}});
        scene.api::<Pod>().patch(&pod, &PatchParams::default(), &Patch::Merge(change)).await.expect("an edit");
    }
}
