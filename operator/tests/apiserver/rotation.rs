//! Credentials that are too old are replaced without anybody asking.

use serde_json::json;
use shopkeeper_testing::rotation::{arrives_at, generation, its_time_is_over};

use crate::scene::with_scene;

#[tokio::test]
async fn credentials_that_are_too_old_are_replaced_without_being_asked_and_once() {
    with_scene(async |scene, _kubelet| {
        scene.create(&json!({"host": "acorn.test", "credentials": {"maxAge": "1h"}})).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        scene.until_shop("CredentialsSettled", "True", None).await;
        for stage in ["Publishing", "Moving", "Closing"] {
            its_time_is_over(&scene).await;
            arrives_at(&scene, stage).await;
        }
        its_time_is_over(&scene).await;
        scene.until_shop("CredentialsSettled", "True", None).await;
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        scene.writes_of_a_reconcile().await;
        assert_eq!(generation(&scene).await, 1);
    })
    .await;
}
