//! A Shop whose stores somebody else runs, who shows a certificate of his own authority, and changes who may log in.

#[path = "external/stores.rs"]
mod stores;
#[path = "external/users.rs"]
mod users;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use serde_json::json;
use shopkeeper_operator::catalog::SERVICES;
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::{SHOP, Scene};

pub use self::stores::HOST;
use self::stores::{STORES, Stores, WRONG, Word, secret_name};
use self::users::{ADMIN, User};
use crate::market::{self, Market};
use crate::scene::with_scene;

const FIRST: User = User { name: "squirrel", password: "acorns-under-the-snow" };
const NEXT: User = User { name: "hedgehog", password: "chestnuts-by-the-fire" };

#[tokio::test]
async fn a_shop_on_external_stores_says_what_is_wrong_with_them_and_follows_a_changed_secret_and_loses_no_order() {
    with_scene(async |scene| {
        let stores = Stores::start(&scene).await;
        stores.let_in(&FIRST).await;
        let unvouched = [("mongodb", Word::WrongAuthority), ("rabbitmq", Word::WrongAuthority)];
        stores.tell(&scene, &FIRST, &unvouched).await;
        let [mongodb, rabbitmq, redis, postgres] =
            STORES.map(|store| json!({"external": {"secretName": secret_name(store)}}));
        let spec = json!({
            "mongodb": mongodb, "rabbitmq": rabbitmq, "redis": redis, "postgres": postgres,
            "telemetry": {"disabled": {}},
        });
        scene.create(&market::spec(&scene, &spec)).await.expect("a Shop");
        let operator = scene.operate();
        unreachable(&scene, &unvouched).await;

        stores.tell(&scene, &FIRST, &[]).await;
        scene.touch().await;
        scene.until_shop("Ready", "True", None).await;
        scene.until_shop("CertificatesValid", "True", Some("Issued")).await;
        let mut market = Market::open(&scene).await;
        let before = pods(&scene).await;
        Box::pin(what_is_wrong_is_tried_and_used_by_nobody(&scene, &stores, &mut market)).await;
        assert_eq!(pods(&scene).await, before);

        stores.let_in(&NEXT).await;
        stores.tell(&scene, &NEXT, &[]).await;
        scene.touch().await;
        Box::pin(market.during(scene.until_shop("Ready", "True", None))).await;
        for pod in &before {
            // What it has begun it finishes as the user that it was.
            scene.until::<Pod>(pod, "is gone", |found: Option<&Pod>| found.is_none()).await;
        }
        stores.forget(&FIRST).await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new());
        market.audit(&scene).await;
        nothing_shows_passwords(&scene).await;
        drop(operator);
    })
    .await;
}

/// Wrong words about stores that do not hide each other: a service tells of the first one that it does not reach.
async fn what_is_wrong_is_tried_and_used_by_nobody(scene: &Scene, stores: &Stores, market: &mut Market) {
    let words: [&[(&str, Word)]; 3] = [
        &[("redis", Word::WrongPassword), ("postgres", Word::WrongAuthority)],
        &[("mongodb", Word::WrongPassword), ("rabbitmq", Word::WrongPassword)],
        // Last, as in the list of stores: the Shop is not ready again before the truth was told about all of them.
        &[("postgres", Word::WrongPassword)],
    ];
    for wrong in words {
        stores.tell(scene, &FIRST, wrong).await;
        // Secrets are not watched.
        scene.touch().await;
        Box::pin(market.during(unreachable(scene, wrong))).await;
        // While the pods that tried it are there.
        nothing_shows_passwords(scene).await;
    }
}

/// Waits until the Shop says of these stores that they cannot be reached, and whether that is for their certificates.
async fn unreachable(scene: &Scene, wrong: &[(&str, Word)]) {
    let told = |message: &str| {
        wrong.iter().all(|(store, word)| {
            let begin = format!("spec.{store}.external: cannot connect to {store}: ");
            let mut reasons = message.split("; ").filter_map(|part| part.strip_prefix(&begin));
            reasons.any(|reason| reason.contains("certificate") == (*word == Word::WrongAuthority))
        })
    };
    let says = |shop: Option<&Shop>| {
        let mut conditions = shop.iter().flat_map(|shop| &shop.status).flat_map(|status| &status.conditions);
        conditions.any(|condition| {
            (&*condition.type_, &*condition.reason) == ("DependenciesReady", "StoreUnreachable")
                && told(&condition.message)
        })
    };
    let stores: Vec<&str> = wrong.iter().map(|(store, _)| *store).collect();
    scene.until::<Shop>(SHOP, &format!("cannot connect to {}", stores.join(" and ")), says).await;
}

/// The pods of all services that use a store.
async fn pods(scene: &Scene) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for service in SERVICES.iter().filter(|service| !service.stores.is_empty()) {
        pods.extend(scene.pods(service.name).await);
    }
    pods
}

/// What the Shop, its events, and the logs of its pods say.
async fn nothing_shows_passwords(scene: &Scene) {
    let mut said = vec![("the Shop".to_owned(), json!(scene.api::<Shop>().get(SHOP).await.expect("it")).to_string())];
    let events = scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
    said.extend(events.iter().map(|event| ("an event".to_owned(), json!(event).to_string())));
    for pod in scene.api::<Pod>().list(&ListParams::default()).await.expect("a list").items {
        let name = pod.name_any();
        if name != HOST {
            match scene.api::<Pod>().logs(&name, &LogParams::default()).await {
                Ok(log) => said.push((name, log)),
                // It was replaced meanwhile, or has not started yet.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {}
                Err(error) => panic!("the log of {name}: {error}"),
            }
        }
    }
    for (who, text) in said {
        let passwords = [ADMIN, FIRST.password, NEXT.password, WRONG];
        assert!(!passwords.iter().any(|password| text.contains(password)), "{who} shows a password: {text}");
    }
}
