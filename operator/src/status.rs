//! Pure: what a Shop's status says, from what was applied and what its pods report.
//!
//! Only [`Objects<Applied>`] can be turned into a status, so it never speaks about objects that were not applied. "Not yet"
//! is a condition here and never an error elsewhere.

mod absent;
mod certificates;
mod conditions;
mod news;
mod pods;
mod route;
mod stores;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use self::conditions::Verdict;
pub use self::news::{News, canary_news, news};
pub(crate) use self::pods::{Problem, problems};
pub(crate) use self::route::{entrances, is_served};
use crate::canary::Canaries;
use crate::crd::{Phase, RolledBack, ServiceStatus, ShopStatus};
use crate::identities::Worry;
use crate::names;
use crate::objects::{Applied, Objects};
use crate::rollback;
use crate::rollout::{has_enough, is_of_before};
use crate::rotation::Wish;
use crate::scaling::Replicas;
use crate::validate::ValidShop;

/// What a status is computed from.
pub struct Facts<'a> {
    /// What was wanted.
    pub shop: &'a ValidShop,
    /// Generation of the spec that was read.
    pub generation: Option<i64>,
    /// What is there.
    pub applied: &'a Objects<Applied>,
    /// Names of the migrations that the wanted state needs.
    pub migrations: &'a [String],
    /// The kind of the route of before, if it stays for a while.
    pub former_route: Option<&'a str>,
    /// How far canaries came.
    pub canaries: &'a Canaries,
    /// The attempt that failed, if older images run in its place.
    pub returned: Option<&'a RolledBack>,
    /// When credentials are to be replaced.
    pub wish: &'a Wish,
    /// What is wrong with certificates that somebody else made; `None` where the Shop rests on none.
    pub given: Option<&'a [Worry]>,
    /// The Shop's pods.
    pub pods: &'a [Pod],
    /// The cluster's ingress classes.
    pub ingress_classes: &'a [IngressClass],
    /// The status so far, for what must not change without a reason.
    pub previous: Option<&'a ShopStatus>,
    /// The time of this reconcile.
    pub now: Timestamp,
}

/// Computes the status of a Shop that was applied.
#[must_use]
pub fn compute(facts: &Facts<'_>) -> ShopStatus {
    let problems = all_problems(facts);
    let services = services(facts);
    let stores = stores::reports(facts, &problems);
    let route = route::verdict(facts);
    let parts = conditions::Parts {
        dependencies: conditions::dependencies(&stores, &problems),
        migrated: conditions::migrated(facts, &problems),
        services: conditions::services(facts, &services, &problems),
        certificates: certificates::of_applied(facts),
        credentials: conditions::credentials(facts.shop.credentials.rotation(), facts.wish),
        route,
        returned: facts.returned.map(|failed| conditions::returned(facts.shop, failed)),
        canaries: conditions::canaries(facts.canaries),
        autoscaling: conditions::autoscaling(&facts.applied.horizontal_pod_autoscalers),
        development: conditions::development(facts.shop),
    };
    let (phase, verdicts) = if facts.shop.hibernated {
        (Phase::Hibernated, conditions::hibernated(facts, parts))
    } else {
        (parts.phase(), parts.all())
    };
    let wanted = facts.shop.services.iter().map(|service| service.replicas.least());
    let ready = services.iter().zip(wanted).filter(|(told, least)| told.desired > 0 && told.ready >= *least).count();
    let status = ShopStatus {
        observed_generation: facts.generation,
        phase: Some(phase),
        version: version(facts, &services),
        last_ready: facts.previous.and_then(|previous| previous.last_ready.clone()),
        rolled_back: facts.returned.cloned(),
        url: route::url(facts.shop, &facts.applied.ingresses),
        entrances: entrances(&facts.applied.ingresses, &facts.applied.http_routes),
        services_ready: Some(format!("{ready}/{}", services.len())),
        conditions: stamp(verdicts, facts.generation, facts.previous, facts.now),
        services,
        stores: stores.into_iter().map(|report| report.status).collect(),
    };
    if status.runs() { ShopStatus { last_ready: Some(rollback::release(facts.shop)), ..status } } else { status }
}

/// What is wrong with pods, in the order of who knows most about it. Those that are to be replaced have no say: the correction may
/// be on its way.
fn all_problems(facts: &Facts<'_>) -> Vec<Problem> {
    let staying = facts.pods.iter().filter(|pod| !is_of_before(pod, facts.applied, facts.pods));
    let staying: Vec<&Pod> = staying.collect();
    let told = problems(staying.iter().copied()).into_iter().chain(absent::problems(facts));
    told.chain(pods::unready(staying, facts.now)).collect()
}

/// The status of a Shop of which nothing is made yet. It has no phase: what follows is its first one, which is an event.
#[must_use]
pub fn begun(generation: Option<i64>, now: Timestamp) -> ShopStatus {
    let ready = Verdict::not_yet("Ready", "Begun", "the operator has begun to make what the Shop consists of");
    let progressing = Verdict { type_: "Progressing", holds: true, ..ready.clone() };
    let conditions = stamp(vec![ready, progressing], generation, None, now);
    ShopStatus { observed_generation: generation, conditions, ..ShopStatus::default() }
}

/// Why a Shop was not applied.
pub struct Blocked<'a> {
    /// One word.
    pub reason: &'a str,
    /// What to do.
    pub message: &'a str,
    /// Whether it goes away by itself.
    pub passes: bool,
}

/// The status of a Shop that was not applied: what is known stays, and the conditions say what is in the way, and what is wrong
/// with certificates where there are any.
#[must_use]
pub fn blocked(
    previous: Option<&ShopStatus>,
    generation: Option<i64>,
    why: &Blocked<'_>,
    worries: Option<&[Worry]>,
    now: Timestamp,
) -> ShopStatus {
    let known = previous.cloned().unwrap_or_default();
    let ready = Verdict::no("Ready", why.reason, why.message);
    let progressing = Verdict { type_: "Progressing", holds: why.passes, ..ready.clone() };
    let stalled = (!why.passes).then(|| conditions::stalled(&ready));
    let verdicts = [ready, progressing].into_iter().chain(stalled).chain(worries.map(certificates::of_others));
    let conditions = with_known(verdicts.collect(), &["Stalled", "Paused"], generation, previous, now);
    ShopStatus { observed_generation: generation, phase: Some(Phase::Blocked), conditions, ..known }
}

/// The status of a Shop that is left alone: what was known of it stays, except for what is wrong with certificates.
#[must_use]
pub fn paused(
    previous: Option<&ShopStatus>,
    generation: Option<i64>,
    worries: Option<&[Worry]>,
    now: Timestamp,
) -> ShopStatus {
    let known = previous.cloned().unwrap_or_default();
    let message = "while spec.lifecycle.paused is true the operator changes nothing but certificates that are due, what becomes \
                   of data when the Shop is deleted, and the replica of a store that is just getting another pod";
    let paused = Verdict::yes("Paused", "PausedBySpec", message);
    let unmade = previous.is_none_or(|previous| !previous.is_seen());
    let ready = unmade.then(|| Verdict::not_yet("Ready", "PausedBySpec", "nothing of it was made yet"));
    let verdicts = [paused].into_iter().chain(ready).chain(worries.map(certificates::of_others)).collect();
    let conditions = with_known(verdicts, &[], generation, previous, now);
    ShopStatus { phase: Some(Phase::Paused), conditions, ..known }
}

/// Verdicts as conditions, and after them what else was known, but for what is over.
fn with_known(
    verdicts: Vec<Verdict>,
    over: &[&str],
    generation: Option<i64>,
    previous: Option<&ShopStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    let told: Vec<&str> = verdicts.iter().map(|verdict| verdict.type_).collect();
    let known = previous.iter().flat_map(|status| &status.conditions);
    let known = known.filter(|known| !told.contains(&&*known.type_) && !over.contains(&&*known.type_)).cloned();
    let known: Vec<Condition> = known.collect();
    stamp(verdicts, generation, previous, now).into_iter().chain(known).collect()
}

/// Turns verdicts into conditions; the time of a condition changes only when its status does.
fn stamp(
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    previous: Option<&ShopStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    let before = |type_: &str| previous?.conditions.iter().find(|condition| condition.type_ == type_);
    verdicts.into_iter().map(|verdict| verdict.into_condition(generation, &before, now)).collect()
}

fn services(facts: &Facts<'_>) -> Vec<ServiceStatus> {
    let of = |name: &'static str, replicas: Replicas| {
        let object = names::component(&facts.shop.name, name);
        let deployment = facts.applied.deployments.iter().find(|found| found.name_any() == object);
        let before = facts.previous.and_then(|status| status.services.iter().find(|before| before.name == name));
        let number = deployment.and_then(|found| found.spec.as_ref()?.replicas);
        let running = deployment.filter(|found| has_enough(found, replicas)).and_then(version_label);
        ServiceStatus {
            name: name.to_owned(),
            ready: deployment.and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0),
            desired: replicas.fixed().unwrap_or_else(|| number.unwrap_or(0).max(replicas.least())),
            version: running.or_else(|| before?.version.clone()),
            canary: facts.canaries.get(name).cloned(),
        }
    };
    facts.shop.services.iter().map(|service| of(service.service.name, service.replicas)).collect()
}

/// The version that every service runs, as long as there is one.
fn version(facts: &Facts<'_>, services: &[ServiceStatus]) -> Option<String> {
    let wanted = facts.shop.services.iter().map(|service| Some(&service.version));
    let there = services.iter().map(|service| service.version.as_ref());
    if wanted.eq(there) { Some(facts.shop.version.clone()) } else { facts.previous?.version.clone() }
}

fn version_label(deployment: &Deployment) -> Option<String> {
    deployment.labels().get(names::VERSION_LABEL).cloned()
}

fn component<K: ResourceExt>(object: &K) -> String {
    object.labels().get(names::COMPONENT_LABEL).cloned().unwrap_or_default()
}

/// What is wrong with a component, in brackets after its name.
fn detail(component: &str, problems: &[Problem]) -> String {
    let found = problems.iter().find(|problem| problem.component == component);
    found.map(|problem| format!(" ({})", problem.text())).unwrap_or_default()
}
