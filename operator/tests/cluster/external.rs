//! A Shop whose stores somebody else runs: here they are one pod in the test's namespace, the one that component tests use.

use std::fs;
use std::path::Path;

use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::{Scene, message};

use crate::market::{self, Market};
use crate::scene::with_scene;

const PASSWORD: &str = "acorns-under-the-snow";
const WRONG: &str = "pinecones-in-the-attic";
const NEXT: &str = "chestnuts-by-the-fire";
const STORES: &str = "stores";

#[tokio::test]
async fn a_shop_on_external_stores_says_what_is_wrong_with_them_and_follows_a_changed_secret_and_loses_no_order() {
    with_scene(async |scene| {
        let stores = Stores::start(&scene).await;
        stores.tell(&scene, "postgres", "postgres", PASSWORD).await;
        stores.tell(&scene, "mongodb", "root", PASSWORD).await;
        stores.tell(&scene, "redis", "default", WRONG).await;
        stores.tell(&scene, "rabbitmq", "test", PASSWORD).await;
        let external = |store: &str| json!({"external": {"secretName": format!("{STORES}-{store}")}});
        let spec = json!({
            "postgres": external("postgres"), "mongodb": external("mongodb"), "redis": external("redis"),
            "rabbitmq": external("rabbitmq"), "telemetry": {"disabled": {}},
        });
        scene.create(&market::spec(&scene, &spec)).await.expect("a Shop");
        let operator = scene.operate();
        unreachable(&scene, "redis").await;

        stores.tell(&scene, "redis", "default", PASSWORD).await;
        scene.until_shop("Ready", "True", None).await;
        let mut market = Market::open(&scene).await;

        Box::pin(wrong_log_ins_are_tried_and_used_by_nobody(&scene, &stores, &mut market)).await;
        // Tried before it is used, and used by nobody because it is wrong.
        let before = scene.pods("order").await;
        stores.tell(&scene, "rabbitmq", "test", WRONG).await;
        Box::pin(market.during_trouble(unreachable(&scene, "rabbitmq"))).await;
        assert_eq!(scene.pods("order").await, before);

        stores.let_in("second", NEXT).await;
        stores.tell(&scene, "rabbitmq", "second", NEXT).await;
        Box::pin(market.during_trouble(scene.until_shop("Ready", "True", None))).await;
        assert!(scene.pods("order").await.is_disjoint(&before), "pods go on with the old one");
        stores.forget("test").await;
        assert_eq!(market.everybody_buys_once().await, Vec::<String>::new());
        market.audit(&scene).await;
        nothing_shows_passwords(&scene).await;
        drop(operator);
    })
    .await;
}

async fn wrong_log_ins_are_tried_and_used_by_nobody(scene: &Scene, stores: &Stores, market: &mut Market) {
    for (store, user) in [("postgres", "postgres"), ("mongodb", "root")] {
        let before = scene.pods("user").await;
        stores.tell(scene, store, user, WRONG).await;
        // Secrets are not watched.
        scene.touch().await;
        Box::pin(market.during_trouble(unreachable(scene, store))).await;
        stores.tell(scene, store, user, PASSWORD).await;
        scene.touch().await;
        Box::pin(market.during_trouble(scene.until_shop("Ready", "True", None))).await;
        assert_eq!(scene.pods("user").await, before, "{store}");
    }
}

async fn unreachable(scene: &Scene, store: &str) {
    let shop = scene.until_shop("DependenciesReady", "False", Some("StoreUnreachable")).await;
    let told = message(&shop, "DependenciesReady");
    assert!(told.contains(&format!("spec.{store}.external: cannot connect to {store}")), "{told}");
}

/// What the Shop, its events, and the logs of its pods say.
async fn nothing_shows_passwords(scene: &Scene) {
    let mut said =
        vec![("the Shop".to_owned(), json!(scene.api::<Shop>().get("acorn").await.expect("it")).to_string())];
    let events = scene.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
    said.extend(events.iter().map(|event| ("an event".to_owned(), json!(event).to_string())));
    for pod in scene.api::<Pod>().list(&ListParams::default()).await.expect("a list").items {
        let name = pod.name_any();
        if name != STORES {
            // A pod that was replaced may be gone by now.
            let log = scene.api::<Pod>().logs(&name, &LogParams::default()).await.unwrap_or_default();
            said.push((name, log));
        }
    }
    for (who, text) in said {
        let shown = [PASSWORD, WRONG, NEXT].iter().any(|password| text.contains(password));
        assert!(!shown, "{who} shows a password: {text}");
    }
}

/// PostgreSQL, a server that speaks MongoDB's protocol, Redis and RabbitMQ.
struct Stores {
    host: String,
    http: reqwest::Client,
}

impl Stores {
    async fn start(scene: &Scene) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/cluster/test-stores.yaml");
        let mut text = fs::read_to_string(file).expect("the stores of component tests");
        let settings = &scene.settings;
        for (word, value) in [
            ("password", PASSWORD),
            ("postgres", &settings.postgres_image),
            ("redis", &settings.redis_image),
            ("rabbitmq", &settings.rabbitmq_image),
            ("mongodb", &settings.mongodb_image),
        ] {
            text = text.replace(&format!("{{{{{word}}}}}"), value);
        }
        text = text.replace("shopkeeper-test", &scene.namespace);
        make::<Secret>(scene, &text).await;
        make::<ConfigMap>(scene, &text).await;
        make::<Pod>(scene, &text).await;
        let ready = |found: Option<&Pod>| {
            let mut conditions = found.iter().flat_map(|pod| &pod.status).flat_map(|s| s.conditions.iter().flatten());
            conditions.any(|told| told.type_ == "Ready" && told.status == "True")
        };
        let pod = scene.until::<Pod>(STORES, "is ready", ready).await.expect("the stores");
        let host = pod.status.and_then(|status| status.pod_ip).expect("an address");
        Self { host, http: reqwest::Client::new() }
    }

    /// Writes down who the Shop is at a store.
    async fn tell(&self, scene: &Scene, store: &str, username: &str, password: &str) {
        let name = format!("{STORES}-{store}");
        let port = if store == "mongodb" { ":27017" } else { "" };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {
                "host": format!("{}{port}", self.host), "username": username, "password": password, "tls": "none",
            },
        });
        let params = PatchParams::apply("somebody").force();
        scene.api::<Secret>().patch(&name, &params, &Patch::Apply(secret)).await.expect("a Secret");
    }

    /// Lets somebody else into RabbitMQ.
    async fn let_in(&self, user: &str, password: &str) {
        self.ask(Method::PUT, &format!("users/{user}"), json!({"password": password, "tags": "administrator"})).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.ask(Method::PUT, &format!("permissions/%2F/{user}"), all).await;
    }

    /// Lets nobody in any more under this name.
    async fn forget(&self, user: &str) {
        self.ask(Method::DELETE, &format!("users/{user}"), Value::Null).await;
    }

    async fn ask(&self, method: Method, path: &str, body: Value) {
        let url = format!("http://{}:15672/api/{path}", self.host);
        let request = self.http.request(method, url).basic_auth("test", Some(PASSWORD)).json(&body);
        let status = request.send().await.expect("RabbitMQ answers").status();
        assert!(matches!(status, StatusCode::CREATED | StatusCode::NO_CONTENT), "{path}: {status}");
    }
}

/// Makes the object of a kind that is in the text.
async fn make<K: Child>(scene: &Scene, text: &str) {
    let kind = format!("\nkind: {}\n", K::kind(&()));
    let object = text.split("\n---\n").find(|object| format!("\n{object}").contains(&kind)).expect("the object");
    let object: K = serde_saphyr::from_str(object).expect("YAML");
    scene.api().create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
}
