//! A namespace with a Shop and an operator in it, and what tests do there.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::core::DynamicObject;
use kube::discovery::{ApiGroup, ApiResource, Discovery, Scope, verbs};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Api, Client, Config, CustomResourceExt, ResourceExt};
use serde_json::{Value, json};
use shopkeeper_operator::controller::{self, Context, Watch};
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::observe::Child;
use shopkeeper_operator::rollout::out_of_time;
use shopkeeper_operator::settings::Settings;
use tokio::task::JoinHandle;

use crate::Writes;

/// The name of every test's Shop.
pub const SHOP: &str = "acorn";
/// Where pods only claim to run, everything that a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_mins(4);

/// A namespace for one test.
pub struct Scene {
    /// A client whose writes are noted.
    pub client: Client,
    /// The namespace's name.
    pub namespace: String,
    /// Settings of the operators that are started here.
    pub settings: Settings,
    /// Everything that the test waits for happens within this time.
    patience: Duration,
    /// The client of those operators, whose writes are noted too.
    operators: Client,
    writes: Writes,
}

impl Scene {
    /// Makes a namespace of its own, in which operators may do as much as the test, and pods run.
    pub async fn new(config: Config, settings: Settings, patience: Duration) -> anyhow::Result<Self> {
        let scene = Self::with_operators(config.clone(), config, settings).await?;
        Ok(Self { patience, ..scene })
    }

    /// The same, with another way to the API server for operators, and pods that only claim to run.
    pub async fn with_operators(config: Config, operators: Config, settings: Settings) -> anyhow::Result<Self> {
        let writes = Writes::default();
        let client = ClientBuilder::try_from(config)?.with_layer(&writes).build();
        let operators = ClientBuilder::try_from(operators)?.with_layer(&writes).build();
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": "shopkeeper-test-",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            }
        }))?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = namespaces.create(&PostParams::default(), &namespace).await?.name_any();
        Ok(Self { client, namespace, settings, patience: PATIENCE, operators, writes })
    }

    /// Runs a test here, shows what was there if it fails, and removes the namespace.
    pub async fn play<F: Future>(self, test: impl FnOnce(Arc<Self>) -> F) -> F::Output {
        let scene = Arc::new(self);
        let outcome = scene.clone().outcome(test).await;
        let namespaces: Api<Namespace> = Api::all(scene.client.clone());
        namespaces.delete(&scene.namespace, &DeleteParams::background()).await.expect("removing the namespace");
        output(outcome)
    }

    /// The same on an API server that ends soon, which keeps the namespace: to remove hundreds of objects one by one, and to tell
    /// all controllers of each, takes a good part of the time in which they were made.
    pub async fn play_and_keep<F: Future>(self, test: impl FnOnce(Arc<Self>) -> F) -> F::Output {
        output(Arc::new(self).outcome(test).await)
    }

    async fn outcome<F: Future>(self: Arc<Self>, test: impl FnOnce(Arc<Self>) -> F) -> std::thread::Result<F::Output> {
        let outcome = std::panic::AssertUnwindSafe(Box::pin(test(self.clone()))).catch_unwind().await;
        if outcome.is_err() {
            self.dump().await;
        }
        outcome
    }

    /// The objects of a kind here.
    #[must_use]
    pub fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What a single reconcile needs.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(self.operators.clone(), self.settings.clone())
    }

    /// Creates the test's Shop.
    pub async fn create(&self, spec: &Value) -> Result<Shop, kube::Error> {
        self.create_named(SHOP, spec, false).await
    }

    /// Creates a Shop, or only asks whether it could be created.
    pub async fn create_named(&self, name: &str, spec: &Value, dry_run: bool) -> Result<Shop, kube::Error> {
        let kind = Shop::api_resource();
        let mut shop = DynamicObject::new(name, &kind);
        shop.data = json!({ "spec": spec });
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let params = PostParams { dry_run, ..PostParams::default() };
        let created = api.create(&params, &shop).await?;
        Ok(created.try_parse().expect("a Shop"))
    }

    /// Changes fields of the Shop's spec.
    pub async fn edit(&self, spec: &Value) -> Result<Shop, kube::Error> {
        self.api::<Shop>().patch(SHOP, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
    }

    /// Deletes the Shop, and waits until it is gone; what belonged to it may still be there.
    pub async fn delete(&self) {
        let uid = self.shop().await.uid().expect("a uid");
        self.api::<Shop>().delete(SHOP, &DeleteParams::default()).await.expect("a deletion");
        self.until::<Shop>(SHOP, "is gone", conditions::is_deleted(&uid)).await;
    }

    /// Gives an annotation of the Shop a value that it did not have.
    pub async fn annotate(&self, annotation: &str) {
        let change = json!({"metadata": {"annotations": {annotation: Timestamp::now().to_string()}}});
        self.api::<Shop>().patch(SHOP, &PatchParams::default(), &Patch::Merge(change)).await.expect("an edit");
    }

    /// Lets operators look at the Shop, although nothing is to change.
    pub async fn touch(&self) {
        self.annotate("shopkeeper.dev/test").await;
    }

    /// Stops everything, and wakes it again when nothing runs any more.
    pub async fn hibernate_and_wake(&self) {
        self.edit(&json!({"lifecycle": {"hibernated": true}})).await.expect("an edit");
        self.until_shop("Progressing", "False", Some("Hibernated")).await;
        self.edit(&json!({"lifecycle": {"hibernated": false}})).await.expect("an edit");
        self.until_shop("Ready", "True", None).await;
    }

    /// What a rollout has minutes for is over, and the stores have been ready all the while. For when no operator runs, which
    /// would have another opinion.
    pub async fn minutes_pass(&self, deployment: &str) {
        let long_ago = Time(Timestamp::now() - SignedDuration::from_hours(1));
        let mut conditions = self.shop().await.status.expect("a status").conditions;
        for condition in &mut conditions {
            condition.last_transition_time = long_ago.clone();
        }
        let (params, status) = (PatchParams::default(), json!({"status": {"conditions": conditions}}));
        self.api::<Shop>().patch_status(SHOP, &params, &Patch::Merge(status)).await.expect("an edit");
        let shorter = Patch::Merge(json!({"spec": {"progressDeadlineSeconds": 1}}));
        self.api::<Deployment>().patch(deployment, &params, &shorter).await.expect("an edit");
        let late = |found: Option<&Deployment>| found.is_some_and(out_of_time);
        self.until(deployment, "comes no further", late).await;
    }

    /// The Shop as it is now.
    pub async fn shop(&self) -> Shop {
        self.api().get(SHOP).await.expect("the Shop")
    }

    /// Runs the operator until the guard is dropped.
    #[must_use]
    pub fn operate(&self) -> Operator {
        self.operate_as(self.operators.clone())
    }

    /// Runs the operator with a client of its own until the guard is dropped.
    #[must_use]
    pub fn operate_as(&self, client: Client) -> Operator {
        Operator(tokio::spawn(self.work(client, ready(()), pending())))
    }

    /// What an operator with a client of its own does before and after it leads, until it is asked to stop.
    pub fn work<L, S>(&self, client: Client, leads: L, stop: S) -> impl Future<Output = ()> + Send + use<L, S>
    where
        L: Future<Output = ()> + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let watch = Watch::new(&client, Some(&self.namespace));
        let mut context = Context::new(client, self.settings.clone());
        context.shops = vec![watch.shops.clone()];
        controller::run(vec![watch], Arc::new(context), leads, stop)
    }

    /// Waits for something to become true of an object.
    pub async fn until<K>(&self, name: &str, what: &str, condition: impl Condition<K>) -> Option<K>
    where
        K: Child + Send + Sync + 'static,
    {
        let patience = self.patience;
        let waited = tokio::time::timeout(patience, await_condition(self.api::<K>(), name, condition)).await;
        waited.unwrap_or_else(|_| panic!("{} {name}: {what}: not within {patience:?}", K::kind(&()))).expect("a watch")
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

    /// All namespaced kinds of which objects can be made, so that nothing is made unnoticed.
    pub async fn kinds(&self) -> Vec<ApiResource> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await.expect("a list of kinds");
        let resources = discovery.groups().flat_map(ApiGroup::recommended_resources);
        let makeable = resources.filter(|(_, can)| {
            can.scope == Scope::Namespaced
                && can.supports_operation(verbs::LIST)
                && can.supports_operation(verbs::CREATE)
        });
        makeable.map(|(kind, _)| kind).collect()
    }

    /// The objects of a kind that is only known when the test runs.
    pub async fn objects(&self, kind: &ApiResource) -> Vec<DynamicObject> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, kind);
        api.list(&ListParams::default()).await.expect("a list").items
    }

    /// The names of what a selector finds.
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

    /// The mutating requests so far, those of tests included.
    #[must_use]
    pub fn written(&self) -> Vec<String> {
        self.writes.sent()
    }

    /// Reconciles once and answers with the requests that changed something.
    pub async fn writes_of_a_reconcile(&self) -> Vec<String> {
        let (context, shop) = (self.context(), self.shop().await);
        let before = self.written().len();
        controller::reconcile(&context, &shop).await.expect("a reconcile");
        self.written().split_off(before)
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

/// What a test gives back, or its panic.
fn output<T>(outcome: std::thread::Result<T>) -> T {
    match outcome {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// What a condition of a Shop says.
#[must_use]
pub fn message(shop: &Shop, type_: &str) -> String {
    let mut conditions = shop.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.type_ == type_).expect("the condition").message.clone()
}

/// An operator that stops when it is dropped.
#[derive(Debug)]
pub struct Operator(JoinHandle<()>);

impl Drop for Operator {
    fn drop(&mut self) {
        self.0.abort();
    }
}
