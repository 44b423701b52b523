//! The watches that start reconciles, how many of those run at once, and how they end.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{Controller, Predicate, PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::SemaphorePermit;
use tokio::time::{sleep, timeout};

use super::{CONCURRENCY, Context, DEADLINE, Error, backoff, reconcile};
use crate::crd::Shop;
use crate::names;
use crate::observe;

/// A rollout changes many objects at once; one reconcile answers them all.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Objects of a list that are fetched at once. All kinds are listed together when the operator starts, and with the usual 500 that
/// takes more memory than everything it keeps of a thousand Shops.
const PAGE: u32 = 50;
/// A process that is asked to stop gives its reconciles this long: most end within, and whoever follows does the others again.
const GRACE: Duration = Duration::from_secs(1);

/// One controller per scope, with the Shops it has seen.
pub struct Watch {
    controller: Controller<Shop>,
    /// The Shops of the scope.
    pub shops: Store<Shop>,
}

impl Watch {
    /// Watches the Shops of one namespace, or of all, with everything made for them.
    #[must_use]
    pub fn new(client: &Client, namespace: Option<&str>) -> Self {
        let (shops, writer) = reflector::store();
        let all = watcher::Config::default().page_size(PAGE);
        let changes = watcher(scope::<Shop>(client, namespace), all.clone())
            .default_backoff()
            .modify(|shop| shop.metadata.managed_fields = None)
            .reflect(writer)
            .applied_objects()
            // The operator's own status writes do not start another reconcile.
            // An annotation can ask for something, and is no part of the generation.
            .predicate_filter(predicates::generation.combine(predicates::annotations), PredicateConfig::default());
        let ours = || all.clone().labels(names::MANAGED_SELECTOR);
        let pods =
            watcher(scope::<PartialObjectMeta<Pod>>(client, namespace), ours()).default_backoff().touched_objects();
        let controller = Controller::for_stream(changes, shops.clone())
            .with_config(Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
            .owns(scope::<ServiceAccount>(client, namespace), ours())
            .owns(scope::<ConfigMap>(client, namespace), ours())
            .owns(scope::<Service>(client, namespace), ours())
            .owns(scope::<StatefulSet>(client, namespace), ours())
            .owns(scope::<Job>(client, namespace), ours())
            .owns(scope::<Deployment>(client, namespace), ours())
            .owns(scope::<HorizontalPodAutoscaler>(client, namespace), ours())
            .owns(scope::<PodDisruptionBudget>(client, namespace), ours())
            .owns(scope::<NetworkPolicy>(client, namespace), ours())
            .owns(scope::<Ingress>(client, namespace), ours())
            .watches_stream(pods, |pod| shop_of(&pod));
        Self { controller, shops }
    }

    /// Runs until `stop`, and then as long as reconciles are under way.
    fn run(
        self,
        context: Arc<Context>,
        stop: impl Future<Output = ()> + Send + Sync + 'static,
    ) -> impl Stream<Item = ()> {
        let retry = |shop: Arc<Shop>, error: &Error, context: Arc<Context>| retry(&shop, error, &context);
        let controller = self.controller.graceful_shutdown_on(stop);
        controller.run(reconcile_in_turn, retry, context.clone()).map(move |outcome| match outcome {
            Ok(_) => {}
            // A Shop whose reconciles fail is always tried again, and is not found when it is gone.
            Err(ControllerError::ObjectNotFound(gone)) => context.forget(&gone.into_kind_unchecked(())),
            // Failed reconciles were logged where they failed; what is left are watches.
            Err(error) => tracing::debug!(%error, "watching"),
        })
    }
}

/// Runs all watches until `stop`. No reconcile begins before `leads`: who stands by has listed everything when its time comes. From
/// `stop` on none begins any more, and those that are under way soon end or are dropped, with the request on which each waits.
pub async fn run(
    watches: Vec<Watch>,
    context: Arc<Context>,
    leads: impl Future<Output = ()> + Send,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.shared();
    let streams = watches.into_iter().map(|watch| watch.run(context.clone(), stop.clone()).boxed());
    let work = stream::select_all(streams).collect::<()>();
    let turns = async {
        leads.await;
        context.turns.add_permits(CONCURRENCY.into());
        pending::<()>().await;
    };
    let patience = async {
        stop.await;
        context.turns.close();
        sleep(GRACE).await;
    };
    tokio::select! {
        // First no turn is left, then the controllers hear of the stop.
        biased;
        () = patience => tracing::warn!("reconciles that do not end within {GRACE:?} are given up"),
        () = turns => {}
        () = work => {}
    }
}

fn scope<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Pods belong to their Deployment, so the Shop is found by its label.
fn shop_of(pod: &PartialObjectMeta<Pod>) -> Option<ObjectRef<Shop>> {
    let shop = pod.labels().get(names::INSTANCE_LABEL)?;
    Some(ObjectRef::new(shop).within(&pod.namespace()?))
}

async fn reconcile_in_turn(shop: Arc<Shop>, context: Arc<Context>) -> Result<Action, Error> {
    let Some((_turn, shop)) = turn(&context, &shop).await else { return Ok(Action::await_change()) };
    observed_reconcile(&context, &shop).await
}

/// Waits until one more reconcile may begin: the controllers of all namespaces share how many there may be. Answers with nothing if
/// the Shop is gone by then, or if this process has been asked to stop.
async fn turn<'a>(context: &'a Context, shop: &Shop) -> Option<(SemaphorePermit<'a>, Arc<Shop>)> {
    let turn = context.turns.acquire().await.ok()?;
    let name = ObjectRef::from_obj(shop);
    let found = context.shops.iter().find_map(|shops| shops.get(&name));
    if found.is_none() {
        context.forget(&name);
    }
    Some((turn, found?))
}

/// Its span begins with the turn: somebody who stands by may wait for days.
#[tracing::instrument(name = "reconcile", skip_all, fields(k8s.namespace.name = shop.namespace(), shop = shop.name_any()))]
async fn observed_reconcile(context: &Context, shop: &Shop) -> Result<Action, Error> {
    let start = Instant::now();
    let outcome = timeout(DEADLINE, Box::pin(reconcile_as_it_is(context, shop))).await.unwrap_or(Err(Error::Late));
    context.metrics.reconciled(start.elapsed(), outcome.as_ref().err().map(Error::reason));
    if outcome.is_ok() {
        context.failures.forget(&ObjectRef::from_obj(shop));
    }
    outcome
}

/// The Shop is asked for: what is remembered is as old as the last event, and somebody who follows may have heard none for minutes.
async fn reconcile_as_it_is(context: &Context, shop: &Shop) -> Result<Action, Error> {
    match observe::shop(&context.client, shop).await? {
        Some(shop) => reconcile(context, &shop).await,
        None => Ok(Action::await_change()),
    }
}

fn retry(shop: &Shop, error: &Error, context: &Context) -> Action {
    let failures = context.failures.count(shop);
    let pause = backoff::pause(failures);
    tracing::warn!(
        k8s.namespace.name = shop.namespace(),
        shop = shop.name_any(),
        failures,
        error = error as &dyn std::error::Error,
        "reconcile failed, trying again in {}s",
        pause.as_secs()
    );
    Action::requeue(pause)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::ready;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use http::header::ACCEPT;
    use http::{Request, Response, Uri};
    use kube::client::Body;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::task::yield_now;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::crd::ShopSpec;
    use crate::settings::Settings;

    /// What an API server saw that takes its time and then refuses.
    #[derive(Default)]
    struct Requests {
        all: AtomicUsize,
        /// Of how many Shops at the same time.
        most: AtomicUsize,
        under_way: Mutex<Vec<String>>,
    }

    impl Requests {
        async fn refuse(&self, shop: String) -> Result<Response<Body>, BoxError> {
            self.all.fetch_add(1, Ordering::SeqCst);
            self.change(|under_way| under_way.push(shop.clone()));
            let _request = UnderWay { requests: self, shop };
            everybody_else_goes_on().await;
            Err("refused".into())
        }

        fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
            let mut under_way = self.under_way.lock().expect("no panic while counting");
            change(&mut under_way);
            let shops: BTreeSet<&String> = under_way.iter().collect();
            self.most.fetch_max(shops.len(), Ordering::SeqCst);
        }
    }

    /// A request until it is refused, or until nobody wants its answer any more.
    struct UnderWay<'a> {
        requests: &'a Requests,
        shop: String,
    }

    impl Drop for UnderWay<'_> {
        fn drop(&mut self) {
            self.requests.change(|under_way| {
                let place = under_way.iter().position(|other| *other == self.shop).expect("it is under way");
                under_way.swap_remove(place);
            });
        }
    }

    /// Which Shop a request is about: each has a namespace, and a name that is in the path or in the query.
    fn shop_in(uri: &Uri) -> String {
        let (_, path) = uri.path().split_once("/namespaces/").expect("a namespace");
        let namespace = path.split('/').next().expect("its name");
        let (_, name) = uri.path_and_query().expect("a path").as_str().split_once("rowan-").expect("a name");
        format!("{namespace}/{}", name.chars().take_while(char::is_ascii_digit).collect::<String>())
    }

    /// Everybody else gets as far as possible meanwhile.
    async fn everybody_else_goes_on() {
        for _ in 0..100 {
            yield_now().await;
        }
    }

    /// From now on there are turns.
    async fn lead(context: &Arc<Context>) {
        run(Vec::new(), context.clone(), ready(()), pending()).await;
    }

    /// Paused Shops in three namespaces, each of which is watched for itself: their reconciles ask for their certificates.
    fn scene(requests: &Arc<Requests>) -> (Arc<Context>, Vec<Arc<Shop>>) {
        let seen = requests.clone();
        let api = service_fn(move |request: Request<Body>| {
            let (seen, shop) = (seen.clone(), shop_in(request.uri()));
            async move { seen.refuse(shop).await }
        });
        let mut context = Context::new(Client::new(api, "default"), Settings::default());
        for namespace in ["oak", "elm", "ash"] {
            let (shops, mut writer) = reflector::store();
            for number in 0..4 {
                let mut shop = Shop::new(&format!("rowan-{number}"), ShopSpec::default());
                shop.metadata.namespace = Some(namespace.to_owned());
                shop.spec.lifecycle.paused = true;
                writer.apply_watcher_event(&watcher::Event::Apply(shop));
            }
            context.shops.push(shops);
        }
        let shops = context.shops.iter().flat_map(Store::state).collect();
        (Arc::new(context), shops)
    }

    #[tokio::test]
    async fn however_many_namespaces_are_watched_the_same_number_of_shops_is_worked_on_at_once() {
        let requests = Arc::<Requests>::default();
        let (context, shops) = scene(&requests);
        lead(&context).await;
        let reconciles = shops.into_iter().map(|shop| tokio::spawn(reconcile_in_turn(shop, context.clone())));
        let outcomes = join_all(reconciles).await;
        assert_eq!(outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Err(_)))).count(), 12);
        assert_eq!(requests.most.load(Ordering::SeqCst), usize::from(CONCURRENCY));
    }

    #[tokio::test]
    async fn who_stands_by_begins_no_reconcile_until_it_leads() {
        let requests = Arc::<Requests>::default();
        let (context, shops) = scene(&requests);
        let waiting = tokio::spawn(reconcile_in_turn(shops[0].clone(), context.clone()));
        everybody_else_goes_on().await;
        assert_eq!(requests.all.load(Ordering::SeqCst), 0);
        lead(&context).await;
        waiting.await.expect("it ends").expect_err("the API server refuses");
        assert_ne!(requests.all.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_shop_that_went_while_its_turn_had_not_come_is_left_alone_and_forgotten() {
        let requests = Arc::<Requests>::default();
        let (context, _) = scene(&requests);
        let gone = Arc::new(Shop::new("gone", ShopSpec::default()));
        context.failures.count(&gone);
        lead(&context).await;
        let outcome = reconcile_in_turn(gone.clone(), context.clone()).await;
        assert_eq!(outcome.expect("nothing to do"), Action::await_change());
        assert_eq!(requests.all.load(Ordering::SeqCst), 0);
        assert_eq!(context.failures.of(&gone), 0);
    }

    #[tokio::test]
    async fn a_shop_that_failed_and_went_is_forgotten_when_it_is_to_be_tried_again() {
        let (context, _) = scene(&Arc::default());
        let gone = Shop::new("gone", ShopSpec::default());
        context.failures.count(&gone);
        let (shops, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::InitDone);
        let again = stream::iter([Ok(gone.clone())]).chain(stream::pending());
        let watch = Watch { controller: Controller::for_stream(again, shops.clone()), shops };
        watch.run(context.clone(), pending()).boxed().next().await.expect("an outcome");
        assert_eq!(context.failures.of(&gone), 0);
    }

    #[tokio::test]
    async fn of_everything_but_shops_only_the_metadata_is_watched_and_so_it_is_by_who_stands_by() {
        const WATCHED: [&str; 11] = [
            "configmaps",
            "deployments",
            "horizontalpodautoscalers",
            "ingresses",
            "jobs",
            "networkpolicies",
            "poddisruptionbudgets",
            "pods",
            "serviceaccounts",
            "services",
            "statefulsets",
        ];
        let (sender, mut asked) = unbounded_channel();
        let api = service_fn(move |request: Request<Body>| {
            let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let whole = !accepted.contains("as=PartialObjectMetadata");
            sender.send((request.uri().path().to_owned(), whole)).expect("the test listens");
            pending::<Result<Response<Body>, BoxError>>()
        });
        let client = Client::new(api, "default");
        let watches = vec![Watch::new(&client, Some("oak"))];
        let context = Arc::new(Context::new(client, Settings::default()));
        tokio::select! {
            () = run(watches, context, pending(), pending()) => panic!("nobody asked it to stop"),
            () = everybody_else_goes_on() => {}
        }
        let (mut whole, mut metadata) = (Vec::new(), Vec::new());
        while let Ok((path, is_whole)) = asked.try_recv() {
            let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
            if is_whole { whole.push(kind) } else { metadata.push(kind) }
        }
        metadata.sort_unstable();
        assert_eq!(whole, ["shops"]);
        assert_eq!(metadata, WATCHED);
    }

    #[tokio::test]
    async fn after_the_stop_no_reconcile_begins() {
        let requests = Arc::<Requests>::default();
        let (context, shops) = scene(&requests);
        run(Vec::new(), context.clone(), ready(()), ready(())).await;
        let outcome = reconcile_in_turn(shops[0].clone(), context).await;
        assert_eq!(outcome.expect("nothing to do"), Action::await_change());
        assert_eq!(requests.all.load(Ordering::SeqCst), 0);
    }
}
