//! A namespace with an operator in it, and what tests do there.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, CustomResourceExt, Resource, ResourceExt};
use serde_json::{Value, json};
use shopkeeper_operator::controller::{self, Context, Watch};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::observe::Child;
use shopkeeper_operator::settings::{OPERATOR_SELECTOR, Settings};
use tokio::task::JoinHandle;
use tower::{Layer, Service};

/// The name of every test's Shop.
pub const SHOP: &str = "acorn";
/// Everything that a test waits for happens within this time, image pulls included.
const PATIENCE: Duration = Duration::from_mins(4);

/// A namespace for one test.
pub struct Scene {
    pub client: Client,
    pub namespace: String,
    pub settings: Settings,
    writes: Writes,
}

/// Runs a test in a namespace of its own, shows what was there if it fails, and removes the namespace.
pub async fn with_scene<F: Future<Output = ()>>(test: impl FnOnce(Arc<Scene>) -> F) {
    let scene = Arc::new(Scene::new().await);
    let outcome = std::panic::AssertUnwindSafe(Box::pin(test(scene.clone()))).catch_unwind().await;
    if outcome.is_err() {
        scene.dump().await;
    }
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.delete(&scene.namespace, &DeleteParams::background()).await.expect("removing the namespace");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Scene {
    async fn new() -> Self {
        assert!(
            std::env::var_os("KUBECONFIG").is_some(),
            "this test needs a cluster: run `cargo xtask test`, or `cargo xtask up` and set what `cargo xtask env` prints"
        );
        // A second call answers with an error, and the provider is there.
        rustls::crypto::ring::default_provider().install_default().ok();
        let config = Config::infer().await.expect("KUBECONFIG names a cluster");
        let writes = Writes::default();
        let client = ClientBuilder::try_from(config).expect("a client").with_layer(&writes).build();
        require_crd(&client).await;
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": "shopkeeper-test-",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            }
        }))
        .expect("a namespace");
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace").name_any();
        let settings = settings(&client).await;
        Self { client, namespace, settings, writes }
    }

    pub fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn context(&self) -> Context {
        Context::new(self.client.clone(), self.settings.clone())
    }

    /// Creates the test's Shop.
    pub async fn create(&self, spec: &Value) -> Result<Shop, kube::Error> {
        self.create_named(SHOP, spec, false).await
    }

    /// Creates a Shop, or only asks whether it could be created.
    pub async fn create_named(&self, name: &str, spec: &Value, dry_run: bool) -> Result<Shop, kube::Error> {
        let shop = serde_json::from_value::<kube::core::DynamicObject>(json!({
            "apiVersion": Shop::api_version(&()), "kind": Shop::kind(&()), "metadata": {"name": name}, "spec": spec,
        }))
        .expect("an object");
        let kind = Shop::api_resource();
        let api: Api<kube::core::DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let params = PostParams { dry_run, ..PostParams::default() };
        let created = api.create(&params, &shop).await?;
        Ok(created.try_parse().expect("a Shop"))
    }

    pub async fn edit(&self, spec: &Value) -> Result<Shop, kube::Error> {
        self.api::<Shop>().patch(SHOP, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
    }

    pub async fn shop(&self) -> Shop {
        self.api().get(SHOP).await.expect("the Shop")
    }

    /// Runs the operator until the guard is dropped.
    pub fn operate(&self) -> Operator {
        let watch = Watch::new(&self.client, Some(&self.namespace));
        let mut context = self.context();
        context.shops = vec![watch.shops.clone()];
        Operator(tokio::spawn(controller::run(vec![watch], Arc::new(context))))
    }

    /// Waits for something to become true of an object.
    pub async fn until<K>(&self, name: &str, what: &str, condition: impl Condition<K>) -> Option<K>
    where
        K: Child + Send + Sync + 'static,
    {
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api::<K>(), name, condition)).await;
        waited.unwrap_or_else(|_| panic!("{} {name}: {what}: not within {PATIENCE:?}", K::kind(&()))).expect("a watch")
    }

    /// Waits until a condition of the Shop has a status, and a reason if one is given.
    pub async fn until_shop(&self, type_: &str, status: &str, reason: Option<&str>) -> Shop {
        let what = format!("{type_} is {status} ({})", reason.unwrap_or("any reason"));
        let wanted = |shop: Option<&Shop>| {
            let Some(found) = shop else { return false };
            let current = found.status.as_ref().filter(|s| s.observed_generation == found.metadata.generation);
            let mut conditions = current.iter().flat_map(|current| &current.conditions);
            conditions.any(|c| c.type_ == type_ && c.status == status && reason.is_none_or(|reason| c.reason == reason))
        };
        self.until(SHOP, &what, wanted).await.expect("the Shop")
    }

    /// Waits until a condition of the Shop has a status, whichever generation the rest of the status is about.
    pub async fn until_shop_of_any_generation(&self, type_: &str, status: &str) {
        let wanted = |shop: Option<&Shop>| {
            let mut conditions = shop.iter().flat_map(|shop| &shop.status).flat_map(|status| &status.conditions);
            conditions.any(|c| c.type_ == type_ && c.status == status)
        };
        self.until(SHOP, &format!("{type_} is {status}"), wanted).await;
    }

    pub async fn names<K: Child>(&self, selector: &str) -> BTreeSet<String> {
        let list = self.api::<K>().list(&ListParams::default().labels(selector)).await.expect("a list");
        list.items.iter().map(ResourceExt::name_any).collect()
    }

    /// The pods of a component that have not been asked to stop.
    pub async fn pods(&self, component: &str) -> BTreeSet<String> {
        let selector = format!("app.kubernetes.io/component={component}");
        let list = self.api::<Pod>().list(&ListParams::default().labels(&selector)).await.expect("a list");
        let staying = list.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        staying.map(ResourceExt::name_any).collect()
    }

    /// Mutating requests so far.
    pub fn writes(&self) -> usize {
        self.writes.count.load(Ordering::SeqCst)
    }

    /// The mutating requests, for a message.
    pub fn written(&self) -> Vec<String> {
        self.writes.log.lock().expect("no panic while logging").clone()
    }

    async fn dump(&self) {
        if let Ok(shop) = self.api::<Shop>().get(SHOP).await {
            for condition in shop.status.iter().flat_map(|status| &status.conditions) {
                eprintln!("{}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message);
            }
        }
        for pod in self.api::<Pod>().list(&ListParams::default()).await.iter().flat_map(|pods| &pods.items) {
            let status = pod.status.as_ref();
            let states = status.and_then(|status| status.container_statuses.clone()).unwrap_or_default();
            let states: Vec<_> = states.into_iter().filter_map(|container| container.state).collect();
            eprintln!("{} {:?} {states:?}", pod.name_any(), status.and_then(|status| status.phase.as_deref()));
        }
    }
}

/// An operator that stops when it is dropped.
pub struct Operator(JoinHandle<()>);

impl Drop for Operator {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The settings of the operator that is deployed on the cluster, because they name images that the cluster has. Without one,
/// those of the environment.
async fn settings(client: &Client) -> Settings {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let found = deployments.list(&ListParams::default().labels(OPERATOR_SELECTOR)).await.expect("a list");
    let operator = found.items.into_iter().next().unwrap_or_default();
    Settings::of(&operator).expect("settings that an operator runs with")
}

/// The chart owns the definition of the Shop resource; installing it here would take it away from Helm.
async fn require_crd(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = api.get_opt(&Shop::crd().name_any()).await.expect("the API server");
    assert!(found.is_some(), "the Shop resource is missing: run `cargo xtask up`, or install charts/shopkeeper-crds");
}

/// Counts requests that change something.
#[derive(Clone, Debug, Default)]
struct Writes {
    count: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<String>>>,
}

impl<S> Layer<S> for Writes {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, writes: self.clone() }
    }
}

#[derive(Clone)]
struct Counting<S> {
    inner: S,
    writes: Writes,
}

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for Counting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.method() != http::Method::GET {
            self.writes.count.fetch_add(1, Ordering::SeqCst);
            let line = format!("{} {}", request.method(), request.uri().path());
            self.writes.log.lock().expect("no panic while logging").push(line);
        }
        self.inner.call(request)
    }
}
