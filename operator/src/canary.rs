//! Pure: how far canaries come, and what therefore runs.
//!
//! The spec is never touched. A canary that is promoted becomes the image of its service, one that is rolled back goes, and the
//! status keeps which of it happened to what. Another image of the service or another `canary` in the spec is another attempt,
//! and is made at once.

mod measured;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

pub use self::measured::Measured;
pub use self::state::{Seen, Wish, next};
use crate::build::short_hash;
use crate::crd::{CanaryPhase, CanaryStatus, Shop};
use crate::names;
use crate::objects::{Applied, Live, Objects};
use crate::rollback::stores_ready_since;
use crate::rollout::{failed, image, is_leaving, is_of_canary, rolled_out, runs};
use crate::status::{Problem, problems};
use crate::validate::{Canary, Route, ValidService, ValidShop};

/// What the pods of each canary that is analyzed have measured, or why that is not known. By service.
pub type Measurements = BTreeMap<String, Result<Measured, String>>;
/// How far each canary came. By service.
pub type Canaries = BTreeMap<&'static str, CanaryStatus>;

/// A canary that ended gets nothing for this long before its pods go: callers learn of both at different times.
const DRAIN: SignedDuration = SignedDuration::from_secs(15);

/// What is on the cluster of canaries.
pub struct Facts<'a> {
    /// The objects that were made earlier.
    pub live: &'a Objects<Live>,
    /// The Shop's pods.
    pub pods: &'a [Pod],
    /// What those of canaries have measured.
    pub measured: &'a Measurements,
    /// Now.
    pub now: Timestamp,
}

/// The services whose canary gets its share and is analyzed, according to the status.
pub fn analyzed(shop: &Shop) -> impl Iterator<Item = &str> {
    let services = shop.status.iter().flat_map(|status| &status.services);
    let progressing = services
        .filter(|service| service.canary.as_ref().is_some_and(|canary| canary.phase == CanaryPhase::Progressing));
    progressing.map(|service| service.name.as_str())
}

/// Takes each canary as far as it has come: the Shop as it is to run, and where the canaries stand.
#[must_use]
pub fn decide(mut wanted: ValidShop, shop: &Shop, facts: &Facts<'_>) -> (ValidShop, Canaries) {
    let mut canaries = Canaries::new();
    let problems = problems(facts.pods);
    let was_taken_back = shop.status.as_ref().is_some_and(|status| status.rolled_back.is_some());
    for service in &mut wanted.services {
        service.has_canary_pods = has_pods(service.service.name, facts);
        let Some(canary) = service.canary.clone() else { continue };
        let before = before(shop, service.service.name);
        let state = if wanted.hibernated {
            // Nothing can be said of what sleeps.
            before.cloned()
        } else {
            let wish = wish(service, &canary, &wanted.route);
            let state = next(before, &wish, &seen(&wanted.name, service, &canary, shop, facts, &problems), facts.now);
            Some(if was_taken_back { unpromoted(before, state) } else { state })
        };
        if let Some(state) = state {
            run(service, canary, &state, facts.now);
            canaries.insert(service.service.name, state);
        }
    }
    (wanted, canaries)
}

/// The state without a promotion, which would be another set of images: with it a rollout that was taken back would be tried again.
fn unpromoted(before: Option<&CanaryStatus>, state: CanaryStatus) -> CanaryStatus {
    match before.filter(|before| before.phase == CanaryPhase::Progressing) {
        Some(before) if state.phase == CanaryPhase::Promoted => CanaryStatus {
            phase: before.phase,
            since: before.since.clone(),
            message: "good so far; it takes over when no rollout is taken back any more".to_owned(),
            ..state
        },
        _ => state,
    }
}

/// Leaves out canaries on their way that are not to run, because what they were to run beside was taken back. That is no fault of
/// theirs: they begin anew when it is tried again.
#[must_use]
pub fn on_their_way(mut canaries: Canaries, shop: &ValidShop) -> Canaries {
    canaries.retain(|service, state| has_ended(state) || shop.canary_of(service).is_some());
    canaries
}

/// Whether time alone takes a canary further.
#[must_use]
pub fn is_under_way(canaries: &Canaries, now: Timestamp) -> bool {
    canaries.values().any(|state| !has_ended(state) || is_draining(state, now))
}

/// Whether the pods of every canary are those that are wanted now. One that is held waits for its migration, as it was before.
#[must_use]
pub fn all_run(shop: &ValidShop, held: &BTreeSet<String>, applied: &Objects<Applied>) -> bool {
    shop.canaries().map(|canary| names::component(&shop.name, &canary.component())).all(|name| {
        let found = applied.deployments.iter().find(|found| found.name_any() == name);
        !held.contains(&name) && found.is_some_and(rolled_out)
    })
}

/// Whether pods of a service's canary are there. Of a node that is gone one may be listed for ever.
fn has_pods(service: &str, facts: &Facts<'_>) -> bool {
    let component = names::canary(service);
    let has_time = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() || is_leaving(pod, facts.now);
    let mut of_canary = facts.pods.iter().filter(|pod| pod.labels().get(names::COMPONENT_LABEL) == Some(&component));
    of_canary.any(|pod| runs(pod) && has_time(pod))
}

fn has_ended(state: &CanaryStatus) -> bool {
    matches!(state.phase, CanaryPhase::Promoted | CanaryPhase::RolledBack)
}

fn is_draining(state: &CanaryStatus, now: Timestamp) -> bool {
    now < state.since.0 + DRAIN
}

fn before<'a>(shop: &'a Shop, service: &str) -> Option<&'a CanaryStatus> {
    let mut services = shop.status.iter().flat_map(|status| &status.services);
    services.find(|found| found.name == service)?.canary.as_ref()
}

fn wish<'a>(service: &'a ValidService, canary: &'a Canary, route: &Route) -> Wish<'a> {
    let tried = json!([service.image, canary.image, canary.weight, canary.analysis]);
    let unsplit = match (route.gateway.is_some() || service.service.routes.is_empty(), service.service.grpc) {
        (true, _) => "",
        (false, true) => "; requests of customers are not split: an Ingress knows no shares, spec.ingress.gateway does",
        (false, false) => "; nothing is sent to it: an Ingress knows no shares, spec.ingress.gateway does",
    };
    Wish { attempt: short_hash(tried.to_string().as_bytes()), stable: &service.image, canary, unsplit }
}

/// Lets run what a state means.
fn run(service: &mut ValidService, canary: Canary, state: &CanaryStatus, now: Timestamp) {
    let serving = state.phase == CanaryPhase::Progressing;
    if state.phase == CanaryPhase::Promoted {
        service.image.clone_from(&canary.image);
        service.version.clone_from(&canary.version);
    }
    service.canary = (!has_ended(state) || is_draining(state, now)).then_some(Canary { serving, ..canary });
}

fn seen<'a>(
    shop: &str,
    service: &ValidService,
    canary: &Canary,
    of: &Shop,
    facts: &Facts<'a>,
    problems: &[Problem],
) -> Seen<'a> {
    let (name, component) = (service.service.name, names::canary(service.service.name));
    let object = names::component(shop, &component);
    let deployment = facts.live.deployments.iter().find(|found| found.name_any() == object);
    let of_version = |version: Option<&String>| version.is_some_and(|version| *version == canary.version);
    let migrations = facts.live.jobs.iter().filter(|job| {
        let labels = job.labels();
        is_of_canary(*job)
            && labels.get(names::COMPONENT_LABEL).is_some_and(|component| component == name)
            && of_version(labels.get(names::VERSION_LABEL))
    });
    let migrations: Vec<_> = migrations.collect();
    let migrates = |problem: &Problem| migrations.iter().any(|job| problem.is_of_job(&job.name_any(), facts.pods));
    let problem = problems.iter().find(|problem| problem.component == component || migrates(problem));
    let gave_up = migrations.iter().any(|job| failed(job));
    let crashes = problem.is_some_and(|problem| problem.reason == "CrashLoopBackOff");
    Seen {
        ready: deployment.is_some_and(|found| {
            // One that slept has as many pods as it was told to have: none.
            let has_pods = found.status.as_ref().is_some_and(|status| status.ready_replicas.unwrap_or(0) > 0);
            has_pods && rolled_out(found) && image(found) == Some(canary.image.as_str())
        }),
        broken: gave_up || crashes,
        problem: problem.map(Problem::text),
        stores_ready_since: of.status.as_ref().and_then(stores_ready_since),
        measured: facts.measured.get(name),
    }
}
