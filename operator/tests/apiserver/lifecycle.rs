//! Shops that are left alone, paused or blocked, and Shops that sleep.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_operator::controller::reconcile;
use shopkeeper_operator::crd::{Phase, ShopStatus};
use shopkeeper_testing::{Scene, message};

use crate::scene::with_scene;
use crate::steady::{NOTHING, block, ready};

/// The Secret with a service's certificate.
const IDENTITY: &str = "acorn-order-identity";

/// The Shop that all tests begin with.
fn spec() -> Value {
    json!({"host": "acorn.test"})
}

async fn certificate(scene: &Scene) -> Vec<u8> {
    let secret: Secret = scene.api().get(IDENTITY).await.expect("a Secret");
    secret.data.expect("data")["tls.crt"].0.clone()
}

/// Writes a value into the Secret with the certificate.
async fn write(scene: &Scene, key: &str, value: &str) {
    let change: Value = json!({"stringData": {key: value}});
    let edited = scene.api::<Secret>().patch(IDENTITY, &PatchParams::default(), &Patch::Merge(change)).await;
    edited.expect("an edit");
}

/// From now on the certificate is to be replaced.
async fn is_due(scene: &Scene) {
    write(scene, "renew-after", "2020-01-01T00:00:00Z").await;
}

#[tokio::test]
async fn a_paused_shop_gets_the_certificates_that_are_due_and_nothing_else() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec()).await;
        let edit = json!({
            "lifecycle": {"paused": true}, "mesh": {"mtls": "Off"}, "services": {"cart": {"replicas": 2}},
        });
        scene.edit(&edit).await.expect("an edit");
        scene.writes_of_a_reconcile().await;
        scene.until_shop_of_any_generation("Paused", "True").await;
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);

        let before = certificate(&scene).await;
        is_due(&scene).await;
        let renewed = format!("PATCH /api/v1/namespaces/{}/secrets/{IDENTITY}", scene.namespace);
        assert_eq!(scene.writes_of_a_reconcile().await, [renewed]);
        assert_ne!(certificate(&scene).await, before);
        assert_eq!(scene.writes_of_a_reconcile().await, NOTHING);
        scene.until_shop_of_any_generation("CertificatesValid", "True").await;

        let _operator = scene.operate();
        scene.edit(&json!({"lifecycle": {"paused": false}, "mesh": {"mtls": "Strict"}})).await.expect("an edit");
        scene.until_shop("Ready", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn a_blocked_shop_gets_the_certificates_that_are_due() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec()).await;
        block(&scene).await;
        let before = certificate(&scene).await;
        is_due(&scene).await;
        reconcile(&scene.context(), &scene.shop().await).await.expect_err("a name is taken");
        assert_ne!(certificate(&scene).await, before);
        scene.until_shop("Ready", "False", Some("NameTaken")).await;
        scene.until_shop("CertificatesValid", "True", None).await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_shop_whose_certificate_cannot_be_renewed_says_which_and_why() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec()).await;
        scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
        scene.api::<Secret>().delete("acorn-credentials", &DeleteParams::default()).await.expect("a deletion");
        write(&scene, "tls.crt", "damaged").await;
        scene.writes_of_a_reconcile().await;
        scene.until_shop_of_any_generation("CertificatesValid", "False").await;
        let told = message(&scene.shop().await, "CertificatesValid");
        for part in ["Secret acorn-credentials is gone", "Secret acorn-order-identity holds no certificate"] {
            assert!(told.contains(part), "`{part}` is not in `{told}`");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_the_certificate_of_the_ingress_is_told_whether_the_shop_is_paused_or_not() {
    with_scene(async |scene, _kubelet| {
        let missing = "Secret acorn-edge, which spec.ingress.tls names, does not exist";
        ready(&scene, &spec()).await;
        scene.edit(&json!({"ingress": {"tls": {"secretName": "acorn-edge"}}})).await.expect("an edit");
        let operator = scene.operate();
        let shop = scene.until_shop("Ready", "False", Some("IngressCertificateMissing")).await;
        drop(operator);
        assert!(message(&shop, "Ready").contains(missing), "{shop:?}");

        let damaged = json!({
            "metadata": {"name": "acorn-edge"}, "stringData": {"tls.crt": "damaged", "tls.key": "damaged"},
        });
        let damaged: Secret = serde_json::from_value(damaged).expect("a Secret");
        scene.api().create(&PostParams::default(), &damaged).await.expect("a Secret");
        scene.writes_of_a_reconcile().await;
        scene.until_shop("Ready", "False", Some("IngressCertificateUnreadable")).await;

        scene.edit(&json!({"lifecycle": {"paused": true}})).await.expect("an edit");
        scene.writes_of_a_reconcile().await;
        scene.until_shop_of_any_generation("CertificatesValid", "False").await;
        scene.api::<Secret>().delete("acorn-edge", &DeleteParams::default()).await.expect("a deletion");
        scene.writes_of_a_reconcile().await;
        let told = message(&scene.shop().await, "CertificatesValid");
        assert!(told.contains(missing), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_shop_that_sleeps_says_so_and_not_that_it_is_ready_or_on_its_way() {
    with_scene(async |scene, _kubelet| {
        ready(&scene, &spec()).await;
        let says = |status: &ShopStatus, type_: &str| status.conditions.iter().any(|told| told.type_ == type_);
        let _operator = scene.operate();
        scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
        let asleep = scene.until_shop("Hibernated", "True", None).await.status.expect("a status");
        assert_eq!((asleep.phase, says(&asleep, "Ready")), (Some(Phase::Hibernated), false));
        scene.until_shop("Progressing", "False", None).await;

        scene.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
        let awake = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert!(!says(&awake, "Hibernated"));
    })
    .await;
}

#[tokio::test]
async fn a_shop_falls_asleep_although_a_migration_cannot_start_and_goes_on_with_it_when_it_wakes() {
    with_scene(async |scene, kubelet| {
        ready(&scene, &spec()).await;
        kubelet.withhold_image("order-migrate").await.expect("a report");
        let _operator = scene.operate();
        scene.edit(&json!({"version": "9.9.9"})).await.expect("an edit");
        scene.until_shop("Migrated", "False", Some("ImagePullBackOff")).await;
        scene.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
        scene.until_shop("Hibernated", "True", None).await;

        kubelet.mend("order-migrate").await.expect("a report");
        scene.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
        let status = scene.until_shop("Ready", "True", None).await.status.expect("a status");
        assert_eq!(status.version.as_deref(), Some("9.9.9"));
    })
    .await;
}
