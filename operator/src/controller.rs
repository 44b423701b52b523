//! The driver: one reconcile as a table of contents. What starts it, and how many run at once, is in `watch`.

mod backoff;
mod error;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource, ResourceExt};
use ring::rand::SystemRandom;
use serde_json::json;
use tokio::sync::Semaphore;

use self::backoff::Failures;
pub use self::error::Error;
pub use self::watch::{Watch, run};
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
/// A reconcile that takes longer waits for an answer that will not come, and is given up.
const DEADLINE: Duration = Duration::from_mins(1);
/// Reconciles that run at the same time, whatever the number of watched namespaces.
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
    failures: Failures,
    turns: Semaphore,
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
            failures: Failures::default(),
            turns: Semaphore::new(CONCURRENCY.into()),
        }
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
        Err(error) if error.is_passing(context.failures.of(shop)) => Err(error),
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
