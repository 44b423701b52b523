//! Pure: what of the wanted state can be applied now. Stores first, then migrations, then the services.
//!
//! An object whose turn has not come is held: it is neither applied nor pruned, so the pods of the previous version keep
//! running until the migrations of the new one are complete, and stay when one of them fails, also across a sleep (`before`). A
//! canary waits for the others and for its own migration, and nothing waits for a canary. A Secret that is not wanted any more is
//! held until the pods that read it are gone, and so are ways out of the pods of before (`reach`); the route of before waits for
//! the wanted one (`route`). A store whose pod stands in the way of the next one has none for a moment (`stuck`).

mod before;
mod former;
mod reach;
mod route;
mod secrets;
mod stuck;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

pub(crate) use self::former::is_of_before;
pub use self::reach::is_leaving;
pub use self::secrets::obsolete_secrets;
pub use self::stuck::is_owed_its_replica;
use crate::catalog::{STORES, TRACES};
use crate::kinds::{Cluster, RabbitmqCluster};
use crate::names::{self, COMPONENT_LABEL};
use crate::objects::{Desired, Live, Objects};
use crate::scaling::{self, Replicas};
use crate::validate::ValidShop;

/// A failed migration is started anew after this time: the cause may have been outside, and a second run is harmless.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// What a Deployment says of a rollout that comes no further, and the Shop with it.
pub const OUT_OF_TIME: &str = "ProgressDeadlineExceeded";

/// The wanted state, without what has to wait.
#[derive(Debug)]
pub struct Rollout {
    /// What can be applied now.
    pub objects: Objects<Desired>,
    /// Names of what has to wait: Jobs and Deployments for their turn, Secrets for their end. A Deployment that waits is among the
    /// objects all the same if it has to be made as it was before.
    pub held: BTreeSet<String>,
    /// The kind of the route of before, if it stays because nobody serves the wanted one yet. It is among the objects.
    pub former_route: Option<Cow<'static, str>>,
    /// Deployments that get this number of pods now: it passes to their autoscaler, or is all that changes of one that is held.
    pub handovers: BTreeMap<String, i32>,
    /// Names of all migrations of the wanted state, without those of canaries.
    pub migrations: Vec<String>,
}

/// Takes out what has to wait.
#[must_use]
pub fn plan(
    shop: &ValidShop,
    mut desired: Objects<Desired>,
    live: &Objects<Live>,
    pods: &[Pod],
    classes: &[IngressClass],
    now: Timestamp,
) -> Rollout {
    let mut held = secrets::staying(shop, &desired, live, pods);
    let former_route = route::keep(shop, &mut desired, live, classes, now);
    reach::widen(shop, &mut desired, live, pods, now);
    if shop.hibernated {
        return Rollout { former_route, ..falling_asleep(shop, desired, held, live, pods) };
    }
    let (of_canaries, jobs): (Vec<&Job>, Vec<&Job>) = desired.jobs.iter().partition(|job| is_of_canary(*job));
    let migrations: Vec<String> = jobs.into_iter().map(ResourceExt::name_any).collect();
    let of_canaries: Vec<(String, String)> =
        of_canaries.into_iter().map(|job| (job.name_any(), names::canary(&component(job)))).collect();
    let job = |name: &String| live.jobs.iter().find(|job| job.name_any() == *name);

    let stores_ready = desired.stateful_sets.iter().all(|wanted| {
        let found = live.stateful_sets.iter().find(|found| found.name_any() == wanted.name_any());
        found.is_some_and(store_ready)
    });
    stuck::make_room(&mut desired.stateful_sets, &live.stateful_sets, pods);
    wake_as_before(&mut desired.rabbitmq_clusters, &live.rabbitmq_clusters);
    if !shop.knows_its_stores() {
        hold_as_known(shop, &mut desired, &mut held, live);
    }
    let stores_ready = stores_ready && clusters_ready(&desired, live);
    if !stores_ready {
        // A migration that has been started keeps its Job: without it the next reconcile would not know its outcome.
        hold(&mut desired.jobs, &mut held, |wanted| job(&wanted.name_any()).is_none());
    }
    // Neither wanted nor held: it is pruned, and its end brings the operator back to make it again.
    desired.jobs.retain(|wanted| !job(&wanted.name_any()).is_some_and(|found| failed_since(found, now - RETRY_AFTER)));
    if !migrations.iter().all(|name| job(name).is_some_and(complete)) {
        hold(&mut desired.deployments, &mut held, is_service);
        hold(&mut desired.jobs, &mut held, |wanted| is_of_canary(wanted) && job(&wanted.name_any()).is_none());
    }
    let open = of_canaries.iter().filter(|(name, _)| !job(name).is_some_and(complete));
    let waiting: Vec<&String> = open.map(|(_, canary)| canary).collect();
    hold(&mut desired.deployments, &mut held, |wanted| waiting.contains(&&component(wanted)));
    let handovers = numbers(shop, &mut desired, &held, live, stores_ready);
    Rollout { objects: desired, held, former_route, handovers, migrations }
}

/// Deployments that get another number of pods by themselves, and that number.
fn numbers(
    shop: &ValidShop,
    desired: &mut Objects<Desired>,
    held: &BTreeSet<String>,
    live: &Objects<Live>,
    stores_ready: bool,
) -> BTreeMap<String, i32> {
    let mut numbers = scaling::handovers(shop, live);
    // Of one that waits, also if it is made as before: pods come when its template is the one that they are to have.
    numbers.retain(|name, _| !held.contains(name));
    if stores_ready {
        numbers.extend(before::give_back(shop, &mut desired.deployments, held, &live.deployments));
    }
    let waits = |name: &str| held.contains(name) && !is_among(&desired.deployments, name);
    // An autoscaler and its Deployment have one name, and come together: what was handed over must not be left out later.
    desired.horizontal_pod_autoscalers.retain(|wanted| {
        let name = wanted.name_any();
        !waits(&name) || numbers.contains_key(&name)
    });
    numbers
}

/// What pods would be given is not known, so they stay, and so does what was migrated for them.
fn hold_as_known(shop: &ValidShop, desired: &mut Objects<Desired>, held: &mut BTreeSet<String>, live: &Objects<Live>) {
    held.extend(live.jobs.iter().map(ResourceExt::name_any));
    hold(&mut desired.jobs, held, |_| true);
    hold(&mut desired.deployments, held, is_service);
    // A policy of before lets pods reach what is not known now; without one they would reach everything.
    let is_there = |name: &str| live.network_policies.iter().any(|found| found.name_any() == name);
    hold(&mut desired.network_policies, held, |wanted| is_there(&wanted.name_any()));
    let authorities = names::store_authorities(&shop.name);
    desired.config_maps.retain(|map| map.name_any() != authorities);
    held.insert(authorities);
}

fn is_among(deployments: &[Deployment], name: &str) -> bool {
    deployments.iter().any(|deployment| deployment.name_any() == name)
}

fn is_service(wanted: &Deployment) -> bool {
    component(wanted) != TRACES
}

/// Whether an object or a pod belongs to a canary.
#[must_use]
pub fn is_of_canary(found: &impl ResourceExt) -> bool {
    found.labels().get(names::TRACK_LABEL).is_some_and(|track| track == names::CANARY_TRACK)
}

fn component(found: &impl ResourceExt) -> String {
    found.labels().get(COMPONENT_LABEL).cloned().unwrap_or_default()
}

/// Whether the clusters that other operators run take connections.
fn clusters_ready(desired: &Objects<Desired>, live: &Objects<Live>) -> bool {
    all_ready(&desired.postgres_clusters, &live.postgres_clusters)
        && all_ready(&desired.rabbitmq_clusters, &live.rabbitmq_clusters)
}

fn all_ready<K: Cluster>(desired: &[K], live: &[K]) -> bool {
    desired.iter().all(|wanted| live.iter().any(|found| found.name_any() == wanted.name_any() && found.ready()))
}

/// A RabbitMQ cluster that slept wakes with the nodes that it had, whatever is wanted by now: its operator starts no other number of
/// them. When they are on their way it can grow.
fn wake_as_before(desired: &mut [RabbitmqCluster], live: &[RabbitmqCluster]) {
    for wanted in desired {
        let found = live.iter().find(|found| found.name_any() == wanted.name_any());
        if let Some(nodes) = found.and_then(RabbitmqCluster::nodes_before_sleep) {
            wanted.spec.replicas = nodes;
        }
    }
}

/// Services first: they finish what they have begun, and for that they need their stores.
fn falling_asleep(
    shop: &ValidShop,
    mut desired: Objects<Desired>,
    mut held: BTreeSet<String>,
    live: &Objects<Live>,
    pods: &[Pod],
) -> Rollout {
    let job = |wanted: &Job| live.jobs.iter().find(|job| job.name_any() == wanted.name_any());
    let mut migrations = desired.jobs.iter().filter(|job| !is_of_canary(*job));
    if !migrations.all(|wanted| job(wanted).is_some_and(complete)) {
        hold(&mut desired.deployments, &mut held, is_service);
    }
    if !shop.knows_its_stores() {
        hold_as_known(shop, &mut desired, &mut held, live);
    }
    // Neither wanted nor held: it is pruned. Its pod may wait for ever; a second run is harmless, and waking starts it.
    desired.jobs.retain(|wanted| job(wanted).is_none_or(complete));
    hold(&mut desired.jobs, &mut held, |wanted| job(wanted).is_none());
    for job in live.jobs.iter().filter(|job| !complete(job)) {
        held.remove(&job.name_any());
    }
    let is_store = |pod: &Pod| pod.labels().get(COMPONENT_LABEL).is_some_and(|name| STORES.contains(&name.as_str()));
    // Pods and not what Deployments report: those no longer count a pod that is finishing its work.
    if pods.iter().any(|pod| runs(pod) && !is_store(pod)) {
        hold(&mut desired.stateful_sets, &mut held, |_| true);
        hold(&mut desired.postgres_clusters, &mut held, |_| true);
        hold(&mut desired.rabbitmq_clusters, &mut held, |_| true);
    }
    let handovers = before::put_to_sleep(&desired.deployments, &held, &live.deployments);
    Rollout { objects: desired, held, former_route: None, handovers, migrations: Vec::new() }
}

/// The image of a Deployment's pods.
pub(crate) fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// Whether a pod's containers have not all ended for good.
#[must_use]
pub fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a store takes connections, and with what it was told last.
#[must_use]
pub fn store_ready(found: &StatefulSet) -> bool {
    let Some(status) = &found.status else { return false };
    status.observed_generation >= found.metadata.generation
        && status.ready_replicas.unwrap_or(0) >= 1
        && status.current_revision == status.update_revision
}

/// Whether all pods of a Deployment are of its current template, and ready.
#[must_use]
pub fn rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// Whether a service has the pods that it needs, all of them of its current template. Where its load decides how many it has, more may
/// be on their way.
#[must_use]
pub fn has_enough(deployment: &Deployment, replicas: Replicas) -> bool {
    let available = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    match replicas {
        Replicas::Fixed(_) => rolled_out(deployment),
        Replicas::Scaled { min, .. } => is_replaced(deployment) && available >= min,
    }
}

/// Whether all pods of a Deployment are of its current template, ready or not.
fn is_replaced(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == status.replicas.unwrap_or(0)
}

/// Whether a Deployment's rollout has come no further for longer than it may. The verdict is about the present template.
#[must_use]
pub fn out_of_time(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let mut conditions = status.conditions.iter().flatten();
    status.observed_generation >= deployment.metadata.generation
        && conditions.any(|told| told.type_ == "Progressing" && told.reason.as_deref() == Some(OUT_OF_TIME))
}

/// Whether a Job has done its work.
#[must_use]
pub fn complete(job: &Job) -> bool {
    condition(job, "Complete").is_some()
}

/// Whether a Job has given up.
#[must_use]
pub fn failed(job: &Job) -> bool {
    condition(job, "Failed").is_some()
}

fn failed_since(job: &Job, time: Timestamp) -> bool {
    let since = condition(job, "Failed").and_then(|condition| condition.last_transition_time.as_ref());
    since.is_some_and(|since| since.0 <= time)
}

fn condition<'a>(job: &'a Job, type_: &str) -> Option<&'a JobCondition> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == type_ && condition.status == "True")
}

fn hold<K: ResourceExt>(objects: &mut Vec<K>, held: &mut BTreeSet<String>, waits: impl Fn(&K) -> bool) {
    objects.retain(|object| {
        let waits = waits(object);
        if waits {
            held.insert(object.name_any());
        }
        !waits
    });
}
