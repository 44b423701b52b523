//! The driver: one reconcile as a table of contents, and the watches that start it.

mod error;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{Controller, Predicate, PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Client, Resource, ResourceExt};
use ring::rand::SystemRandom;
use serde_json::json;
use tokio::time::timeout;

pub use self::error::Error;
use crate::crd::{Phase, RolledBack, Shop, ShopStatus, StoreMode};
use crate::credentials::{Credentials, Unfit};
use crate::kinds::Cluster;
use crate::metrics::Metrics;
use crate::rollback::Choice;
use crate::rotation::Wish;
use crate::settings::Settings;
use crate::status::{Blocked, News};
use crate::validate::ValidShop;
use crate::{apply, canary, credentials, identities, names, observe, rollback, rollout, status, validate};

/// A Shop that nothing happened to is looked at this often: Secrets are not watched.
const REQUEUE: Duration = Duration::from_mins(5);
/// What is blocked, or on its way, is looked at this often: what ends it may not be watched, or was announced before an
/// older state was read.
const UNSETTLED_REQUEUE: Duration = Duration::from_secs(20);
/// What others run or write, stores, Gateways and Secrets, is looked at this often: it is not watched.
const ELSEWHERE_REQUEUE: Duration = Duration::from_secs(30);
/// What the pods of canaries measure is looked at this often.
const CANARY_REQUEUE: Duration = Duration::from_secs(10);
/// A Gateway takes a new route within seconds. Routes are not watched: without the Gateway API that would fail for ever.
const GATEWAY_REQUEUE: Duration = Duration::from_secs(5);
/// A predecessor is usually collected within seconds.
const LEFTOVER_REQUEUE: Duration = Duration::from_secs(2);
/// Longest pause after errors.
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// A rollout changes many objects at once; one reconcile answers them all.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A reconcile that takes longer waits for an answer that will not come, and is given up.
const DEADLINE: Duration = Duration::from_mins(1);
/// Objects of a list that are fetched at once. All kinds are listed together when the operator starts, and with the usual 500 that
/// takes more memory than everything it keeps of a thousand Shops.
const PAGE: u32 = 50;
/// Reconciles that run at the same time.
const CONCURRENCY: u16 = 4;

/// What every reconcile needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The operator's settings.
    pub settings: Settings,
    /// Counters and durations.
    pub metrics: Metrics,
    /// Every Shop that is watched, to know who has a route already.
    pub shops: Vec<Store<Shop>>,
    recorder: Recorder,
    random: SystemRandom,
    failures: Mutex<HashMap<ObjectRef<Shop>, u32>>,
}

impl Context {
    /// A context without watched Shops.
    #[must_use]
    pub fn new(client: Client, settings: Settings) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: None };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            settings,
            metrics: Metrics::default(),
            shops: Vec::new(),
            random: SystemRandom::new(),
            failures: Mutex::default(),
        }
    }

    fn count_failure(&self, shop: &Shop) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(ObjectRef::from_obj(shop)).or_default();
        *count += 1;
        *count
    }

    fn failures(&self, shop: &Shop) -> u32 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&ObjectRef::from_obj(shop)).copied().unwrap_or_default()
    }

    fn forget_failures(&self, shop: &Shop) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&ObjectRef::from_obj(shop));
    }
}

/// Brings one Shop a step closer to its spec, and says in its status how far it is.
pub async fn reconcile(context: &Context, shop: &Shop) -> Result<Action, Error> {
    if shop.metadata.deletion_timestamp.is_some() {
        // Owner references collect what belongs to the Shop; making things now would only be in the way.
        return Ok(Action::await_change());
    }
    if shop.spec.lifecycle.paused {
        let status = status::paused(shop.status.as_ref(), shop.metadata.generation, Timestamp::now());
        tell(context, shop, status).await?;
        return Ok(Action::await_change());
    }
    // It holds all objects of a Shop at once; whoever awaits it need not.
    match Box::pin(converge(context, shop)).await {
        Ok(requeue) => Ok(Action::requeue(requeue)),
        Err(error) if error.is_passing(context.failures(shop)) => Err(error),
        Err(error) => {
            let message = error.to_string();
            tell_blocked(context, shop, &Blocked { reason: error.reason(), message: &message, passes: false }).await?;
            Err(error)
        }
    }
}

/// One step; answers with the time until the next one.
async fn converge(context: &Context, shop: &Shop) -> Result<Duration, Error> {
    let observed = observe::observe(&context.client, shop).await?; // IO
    if let Some(leftover) = observed.leftover(shop) {
        return wait_for(context, shop, &leftover).await;
    }
    let found = match credentials::judge(observed.credentials, shop, &observed.volume_claims) {
        Ok(found) => found,
        Err(unfit) => {
            let (message, passes) = (unfit.to_string(), unfit == Unfit::Leaving);
            tell_blocked(context, shop, &Blocked { reason: unfit.reason(), message: &message, passes }).await?;
            return Ok(if passes { LEFTOVER_REQUEUE } else { UNSETTLED_REQUEUE });
        }
    };
    let now = Timestamp::now();
    let credentials = credentials::ensure(&context.client, &context.random, now, shop, found).await?; // IO
    let (authorities, live) = (credentials.mesh_authorities(), &observed.objects.secrets);
    let identities = identities::renew(authorities, shop, live, &observed.pods, now, &context.random);
    let credentials = credentials.with(identities.map_err(credentials::Error::from)?);
    let others: Vec<Arc<Shop>> = context.shops.iter().flat_map(Store::state).collect();
    let valid = match validate::validate(shop, &others, &context.settings, credentials, &observed.stores) {
        Ok(valid) => valid,
        Err(invalid) => {
            let message = invalid.to_string();
            tell_blocked(context, shop, &Blocked { reason: "Invalid", message: &message, passes: false }).await?;
            return Ok(REQUEUE);
        }
    };
    let seen = canary::Facts { live: &observed.objects, pods: &observed.pods, measured: &observed.measured, now };
    let (valid, canaries) = canary::decide(valid, shop, &seen);
    let Choice { shop: valid, objects: desired, returned } = rollback::choose(valid, shop, &observed.objects, now);
    record_return(context, shop, returned.as_ref()).await?; // IO
    let rollout = rollout::plan(&valid, desired, &observed.objects, &observed.pods, now);
    let migrations = rollout.migrations.clone();
    let applied = apply::apply(&context.client, &valid, rollout, observed.objects).await?; // IO
    let status = status::compute(&status::Facts {
        shop: &valid,
        generation: shop.metadata.generation,
        applied: &applied,
        migrations: &migrations,
        canaries: &canaries,
        returned: returned.as_ref(),
        pods: &observed.pods,
        ingress_classes: &observed.ingress_classes,
        previous: shop.status.as_ref(),
        now,
    });
    let under_way = canary::is_under_way(&canaries, now);
    let requeue = requeue(&valid, status.phase);
    let requeue = if under_way { requeue.min(CANARY_REQUEUE) } else { requeue };
    // Pods of a canary show credentials too.
    let whole = status.phase == Some(Phase::Ready)
        && !canaries.values().any(canary::is_starting)
        && applied.rabbitmq_clusters.iter().all(Cluster::settled);
    tell(context, shop, status).await?; // IO
    let rotated = rotate(context, shop, &valid.credentials, whole, now).await?; // IO
    Ok(requeue.min(rotated))
}

/// Notes a failed attempt before older images run in its place: afterwards nothing on the cluster would tell of it, and it would be
/// made again.
async fn record_return(context: &Context, shop: &Shop, returned: Option<&RolledBack>) -> Result<(), Error> {
    let known = shop.status.clone().unwrap_or_default();
    if returned.is_none() || known.rolled_back.as_ref() == returned {
        return Ok(());
    }
    write_status(&context.client, shop, ShopStatus { rolled_back: returned.cloned(), ..known }).await
}

/// Goes on with a rotation of credentials when its time has come; answers with the time until then.
async fn rotate(
    context: &Context,
    shop: &Shop,
    credentials: &Credentials,
    whole: bool,
    now: Timestamp,
) -> Result<Duration, Error> {
    let wish = Wish { asked: credentials::asked(shop), max_age: shop.spec.credentials.max_age() };
    let rotation = credentials.rotation();
    if let Some(next) = rotation.next(&wish, whole, now) {
        credentials::turn(&context.client, &context.random, now, shop, credentials, &next).await?;
        return Ok(Duration::ZERO);
    }
    // What is due and was not done waits for the Shop to be ready, which is an event of its own.
    let left = rotation.due(&wish).filter(|due| *due > now).map(|due| due.duration_since(now));
    Ok(left.and_then(|left| left.try_into().ok()).unwrap_or(REQUEUE))
}

fn requeue(shop: &ValidShop, phase: Option<Phase>) -> Duration {
    let routed = shop.route.gateway.is_some();
    let elsewhere =
        !shop.given.is_empty() || shop.stores().iter().any(|(_, store)| store.mode() != StoreMode::Embedded);
    match phase {
        Some(Phase::RollingOut) if routed => GATEWAY_REQUEUE,
        Some(Phase::Blocked | Phase::Preparing | Phase::Migrating | Phase::RollingOut) => UNSETTLED_REQUEUE,
        _ if routed || elsewhere => ELSEWHERE_REQUEUE,
        _ => REQUEUE,
    }
}

async fn tell_blocked(context: &Context, shop: &Shop, why: &Blocked<'_>) -> Result<(), Error> {
    let status = status::blocked(shop.status.as_ref(), shop.metadata.generation, why, Timestamp::now());
    tell(context, shop, status).await
}

async fn wait_for(context: &Context, shop: &Shop, leftover: &str) -> Result<Duration, Error> {
    let message = format!("a deleted Shop of this name is still being collected: {leftover}");
    let why = Blocked { reason: "PreviousShopLeaving", message: &message, passes: true };
    tell_blocked(context, shop, &why).await?;
    Ok(LEFTOVER_REQUEUE)
}

/// Writes the status if it says anything new, and an event if it is a turn in the Shop's life.
async fn tell(context: &Context, shop: &Shop, status: ShopStatus) -> Result<(), Error> {
    if shop.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let mut all = status::canary_news(shop.status.as_ref(), &status);
    all.extend(status::news(shop.status.as_ref(), &status));
    write_status(&context.client, shop, status).await?;
    for news in all {
        publish(context, shop, news).await;
    }
    Ok(())
}

async fn publish(context: &Context, shop: &Shop, news: News) {
    let event = Event {
        type_: if news.warning { EventType::Warning } else { EventType::Normal },
        reason: news.reason,
        // The API server takes a kilobyte.
        note: Some(news.message.chars().take(250).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &shop.object_ref(&())).await {
        tracing::warn!(error.cause = %error, "an event was not recorded; the status says the same");
    }
}

/// Writes the status of this Shop, and not of another one that has its name by now.
async fn write_status(client: &Client, shop: &Shop, status: ShopStatus) -> Result<(), Error> {
    let api: Api<Shop> = Api::namespaced(client.clone(), &shop.namespace().unwrap_or_default());
    let name = shop.name_any();
    // An applied or merged status may say whose it is, and the API server does not look at it.
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/uid", "value": shop.uid()},
        {"op": "add", "path": "/status", "value": status},
    ]));
    let patch = Patch::Json::<()>(patch.map_err(|error| Error::Status(kube::Error::SerdeError(error)))?);
    let params = PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() };
    let Err(refusal) = api.patch_status(&name, &params, &patch).await else { return Ok(()) };
    // Deleted in the meantime: there is nobody left to tell.
    let found = api.get_metadata_opt(&name).await.map_err(Error::Status)?;
    if found.is_some_and(|found| found.uid() == shop.uid()) { Err(Error::Status(refusal)) } else { Ok(()) }
}

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
            .watches_stream(pods, |pod| shop_of(&pod))
            .shutdown_on_signal();
        Self { controller, shops }
    }

    /// Runs until the process is asked to stop.
    pub fn run(self, context: Arc<Context>) -> impl Stream<Item = ()> {
        let retry = |shop: Arc<Shop>, error: &Error, context: Arc<Context>| retry(&shop, error, &context);
        self.controller.run(observed_reconcile, retry, context).map(|outcome| {
            if let Err(error) = outcome {
                // Failed reconciles were logged where they failed; what is left are watches.
                tracing::debug!(%error, "watching");
            }
        })
    }
}

/// Runs all watches until the process is asked to stop.
pub async fn run(watches: Vec<Watch>, context: Arc<Context>) {
    let streams = watches.into_iter().map(|watch| watch.run(context.clone()).boxed());
    stream::select_all(streams).collect::<()>().await;
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

#[tracing::instrument(name = "reconcile", skip_all, fields(k8s.namespace.name = shop.namespace(), shop = shop.name_any()))]
async fn observed_reconcile(shop: Arc<Shop>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let outcome = timeout(DEADLINE, reconcile(&context, &shop)).await.unwrap_or(Err(Error::Late));
    context.metrics.reconciled(start.elapsed(), outcome.as_ref().err().map(Error::reason));
    if outcome.is_ok() {
        context.forget_failures(&shop);
    }
    outcome
}

/// One second after the first failure, doubling up to a minute.
fn retry(shop: &Shop, error: &Error, context: &Context) -> Action {
    let failures = context.count_failure(shop);
    let pause = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(MAX_BACKOFF);
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
