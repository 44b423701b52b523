//! The driver: one reconcile as a table of contents. What starts it, and how many run at once, is in `watch`.

mod backoff;
mod error;
mod renewal;
mod report;
mod room;
mod sights;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use self::backoff::Failures;
pub use self::error::Error;
use self::renewal::Renewed;
use self::report::{greet, record_return, tell, tell_blocked};
use self::sights::Sights;
pub use self::watch::{Watch, run};
use crate::crd::{Phase, Shop, ShopStatus, StoreMode};
use crate::credentials::{Credentials, Unfit};
use crate::kinds::Cluster;
use crate::metrics::Metrics;
use crate::observe::Observed;
use crate::rollback::Choice;
use crate::rotation::Wish;
use crate::settings::Settings;
use crate::status::Blocked;
use crate::validate::ValidShop;
use crate::{apply, canary, credentials, identities, names, observe, retention, rollback, rollout, status, validate};

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
    sights: Sights,
    /// For as many reconciles as may begin: none before this process leads.
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
            sights: Sights::default(),
            turns: Semaphore::new(0),
        }
    }

    /// Nothing is remembered of a Shop that is gone.
    fn forget(&self, shop: &ObjectRef<Shop>) {
        self.failures.forget(shop);
        self.sights.forget(shop);
    }
}

/// Brings one Shop a step closer to its spec, and says in its status how far it is.
pub async fn reconcile(context: &Context, shop: &Shop) -> Result<Action, Error> {
    if shop.metadata.deletion_timestamp.is_some() {
        // Owner references collect what belongs to the Shop; making things now would only be in the way.
        return Ok(Action::await_change());
    }
    // Both hold all objects of a Shop at once; whoever awaits them need not.
    if shop.spec.lifecycle.paused {
        return Box::pin(leave_alone(context, shop)).await;
    }
    match Box::pin(converge(context, shop)).await {
        Ok(requeue) => Ok(Action::requeue(requeue)),
        Err(error) if !error.is_told(context.failures.of(shop)) => Err(error),
        Err(error) => {
            let message = error.to_string();
            let why = Blocked { reason: error.reason(), message: &message, passes: error.may_pass() };
            tell_blocked(context, shop, &why).await?;
            Err(error)
        }
    }
}

/// Looks after nothing but what time or a deletion would take away, and what the operator itself has begun: certificates, data that is
/// to stay, and stores that lent their replica.
async fn leave_alone(context: &Context, shop: &Shop) -> Result<Action, Error> {
    let now = Timestamp::now();
    let seen = look(context, shop).await.map(|(_, waits)| waits);
    // Whatever is in the way of data, certificates run out.
    let Renewed { worries, due } = renewal::renew(context, shop, now).await?;
    let status = status::paused(shop.status.as_ref(), shop.metadata.generation, worries.as_deref(), now);
    tell(context, shop, &status).await?;
    Ok(Action::requeue(soon_if(seen?, until(due, now))))
}

/// What is there, after what must not wait was done: nothing can be in the way of that. Tells too whether data waits for Kubernetes.
async fn look(context: &Context, shop: &Shop) -> Result<(Observed, bool), Error> {
    let mut observed = observe::observe(&context.client, shop).await?; // IO
    let waits = retention::follow(&context.client, shop, &mut observed).await?; // IO
    room::give_back(&context.client, shop, &mut observed).await?; // IO
    Ok((observed, waits))
}

/// One step; answers with the time until the next one.
async fn converge(context: &Context, shop: &Shop) -> Result<Duration, Error> {
    let (observed, waits) = look(context, shop).await?; // IO
    if let Some(leftover) = observed.leftover(shop) {
        return wait_for(context, shop, &leftover).await;
    }
    let (volumes, secrets) = (&observed.volume_claims, &observed.objects.secrets);
    let found = match credentials::judge(observed.credentials, shop, volumes, secrets) {
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
    let identities = identities.map_err(credentials::Error::from)?;
    let due = identities.due();
    let credentials = credentials.with(identities);
    let others: Vec<Arc<Shop>> = context.shops.iter().flat_map(Store::state).collect();
    let valid = match validate::validate(shop, &others, &context.settings, credentials, &observed.stores) {
        Ok(valid) => valid,
        Err(invalid) => {
            let message = invalid.to_string();
            tell_blocked(context, shop, &Blocked { reason: "Invalid", message: &message, passes: false }).await?;
            return Ok(soon_if(waits, until(due, now)));
        }
    };
    let seen = canary::Facts { live: &observed.objects, pods: &observed.pods, measured: &observed.measured, now };
    let (valid, canaries) = canary::decide(valid, shop, &seen);
    let Choice { shop: valid, objects: desired, returned } = rollback::choose(valid, shop, &observed.objects, now);
    let canaries = canary::on_their_way(canaries, &valid);
    greet(context, shop, now).await; // IO
    record_return(context, shop, returned.as_ref()).await?; // IO
    let rollout = rollout::plan(&valid, desired, &observed.objects, &observed.pods, &observed.ingress_classes, now);
    let (migrations, held) = (rollout.migrations.clone(), rollout.held.clone());
    let former_route = rollout.former_route.clone();
    let waits = waits || former_route.is_some();
    let applied = apply::apply(&context.client, &valid, rollout, observed.objects).await?; // IO
    let wish = Wish { asked: credentials::asked(shop), max_age: shop.spec.credentials.max_age() };
    let given = identities::worries_about_given(shop, &observed.stores, now);
    let status = status::compute(&status::Facts {
        shop: &valid,
        generation: shop.metadata.generation,
        applied: &applied,
        migrations: &migrations,
        former_route: former_route.as_deref(),
        canaries: &canaries,
        returned: returned.as_ref(),
        wish: &wish,
        given: given.as_deref(),
        pods: &observed.pods,
        ingress_classes: &observed.ingress_classes,
        previous: shop.status.as_ref(),
        now,
    });
    let under_way = canary::is_under_way(&canaries, now);
    let requeue = requeue(&valid, &status).min(until(due, now));
    let requeue = soon_if(waits, requeue);
    let requeue = if under_way { requeue.min(CANARY_REQUEUE) } else { requeue };
    // Pods of a canary show credentials too, and so do those that finish their work: a Deployment does not count them any more.
    let whole = status.runs()
        && canary::all_run(&valid, &held, &applied)
        && !observed.pods.iter().any(|pod| rollout::runs(pod) && rollout::is_leaving(pod, now))
        && applied.rabbitmq_clusters.iter().all(Cluster::settled);
    tell(context, shop, &status).await?; // IO
    let rotated = rotate(context, shop, &valid.credentials, (&wish, whole), now).await?; // IO
    Ok(requeue.min(rotated))
}

/// Goes on with a rotation of credentials when its time has come; answers with the time until then.
async fn rotate(
    context: &Context,
    shop: &Shop,
    credentials: &Credentials,
    (wish, whole): (&Wish, bool),
    now: Timestamp,
) -> Result<Duration, Error> {
    let rotation = credentials.rotation();
    let rotation = rotation.seen(context.sights.first(shop, rotation, now));
    if let Some(next) = rotation.next(wish, whole, now) {
        credentials::turn(&context.client, &context.random, now, shop, credentials, &next).await?;
        return Ok(Duration::ZERO);
    }
    // What is due and was not done waits until stores and services run as wanted and former pods are gone, which are events.
    Ok(until(rotation.due(wish).filter(|due| *due > now), now))
}

/// The time until something is due, or until the next look at a Shop that nothing happens to.
fn until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.and_then(|due| due.duration_since(now).try_into().ok());
    left.unwrap_or(REQUEUE).min(REQUEUE)
}

/// Nobody tells of volumes, nor of what those heard of who serve routes.
fn soon_if(waits: bool, requeue: Duration) -> Duration {
    if waits { requeue.min(UNSETTLED_REQUEUE) } else { requeue }
}

fn requeue(shop: &ValidShop, status: &ShopStatus) -> Duration {
    let routed = shop.route.gateway.is_some();
    let elsewhere =
        !shop.given.is_empty() || shop.stores().iter().any(|(_, store)| store.mode() != StoreMode::Embedded);
    match status.phase {
        Some(Phase::RollingOut) if routed => GATEWAY_REQUEUE,
        Some(Phase::Blocked | Phase::Preparing | Phase::Migrating | Phase::RollingOut) => UNSETTLED_REQUEUE,
        Some(Phase::Hibernated) if !status.holds("Hibernated") => UNSETTLED_REQUEUE,
        _ if routed || elsewhere => ELSEWHERE_REQUEUE,
        _ => REQUEUE,
    }
}

async fn wait_for(context: &Context, shop: &Shop, leftover: &str) -> Result<Duration, Error> {
    let message = format!("a deleted Shop of this name is still being collected: {leftover}");
    let why = Blocked { reason: "PreviousShopLeaving", message: &message, passes: true };
    tell_blocked(context, shop, &why).await?;
    Ok(LEFTOVER_REQUEUE)
}
