//! Whether each store takes connections, as far as whoever runs it says so.

use kube::ResourceExt;

use super::pods::{Problem, is_of_job};
use super::{Facts, component, detail};
use crate::catalog::{POSTGRES, RABBITMQ, SERVICES, TRACES};
use crate::crd::{StoreMode, StoreStatus};
use crate::kinds::Cluster;
use crate::names;
use crate::objects::{Applied, Objects};
use crate::rollout::{complete, store_ready};
use crate::stores::{Store, Trouble};
use crate::validate::Traces;

/// The reason of a condition when a Job could not connect to an external store.
const UNREACHABLE: &str = "StoreUnreachable";

/// The reason while an external store waits for Jobs: nobody else can tell whether it is there.
pub(super) const AWAITED: &str = "WaitingForJobs";

/// One store, and why it is not ready.
pub(super) struct Report {
    pub status: StoreStatus,
    pub trouble: Option<Trouble>,
    /// What speaks against an external store whose Jobs could connect.
    doubt: Option<String>,
}

pub(super) fn reports(facts: &Facts<'_>, problems: &[Problem]) -> Vec<Report> {
    let stores = facts.shop.stores().into_iter().map(|(name, store)| {
        let trouble = store.trouble().or_else(|| match store {
            Store::Embedded(_) => of_embedded(facts, name, problems),
            Store::CloudNativePg { .. } => of_cluster(name, facts.applied.postgres_clusters.first()),
            Store::ClusterOperator { .. } => of_cluster(name, facts.applied.rabbitmq_clusters.first()),
            Store::External(_) => of_external(facts, name, problems),
        });
        let doubt = matches!(store, Store::External(_)).then(|| doubt(facts, name)).flatten();
        Report { doubt, ..report(name, store.mode(), trouble) }
    });
    let traces = matches!(facts.shop.traces, Traces::Embedded { .. })
        .then(|| report(TRACES, StoreMode::Embedded, of_traces(facts, problems)));
    stores.chain(traces).collect()
}

fn report(name: &str, mode: StoreMode, trouble: Option<Trouble>) -> Report {
    let status = StoreStatus { name: name.to_owned(), mode: Some(mode), ready: trouble.is_none() };
    Report { status, trouble, doubt: None }
}

/// What is known while no store is in trouble. Nobody asks an external one between one Job and the next.
pub(super) fn all_well(stores: &[Report]) -> String {
    let external = stores.iter().filter(|store| store.status.mode == Some(StoreMode::External));
    let names: Vec<&str> = external.map(|store| store.status.name.as_str()).collect();
    if names.is_empty() {
        return "every store takes connections".to_owned();
    }
    let others = (names.len() < stores.len()).then_some("every other store takes connections");
    let doubts = stores.iter().filter_map(|store| store.doubt.as_deref());
    let known = format!("the last Jobs that were complete could reach {}", names.join(", "));
    [known.as_str()].into_iter().chain(doubts).chain(others).collect::<Vec<_>>().join("; ")
}

/// That a store's services have pods, and none of them is ready.
fn doubt(facts: &Facts<'_>, name: &str) -> Option<String> {
    let in_need = |service: &str| {
        let object = names::component(&facts.shop.name, service);
        let found = facts.applied.deployments.iter().find(|found| found.name_any() == object);
        let status = found.and_then(|found| found.status.as_ref());
        status.is_some_and(|status| status.replicas.unwrap_or(0) > 0 && status.ready_replicas.unwrap_or(0) == 0)
    };
    let listed = users(name).collect::<Vec<_>>().join(", ");
    users(name).all(in_need).then(|| format!("no pod of what uses {name} ({listed}) is ready"))
}

/// The services that connect to a store.
fn users(store: &str) -> impl Iterator<Item = &'static str> {
    SERVICES.iter().filter(move |service| service.uses(store)).map(|service| service.name)
}

fn of_embedded(facts: &Facts<'_>, name: &str, problems: &[Problem]) -> Option<Trouble> {
    let found = facts.applied.stateful_sets.iter().find(|set| component(*set) == name);
    not_ready(name, found.is_some_and(store_ready), &detail(name, problems))
}

fn of_traces(facts: &Facts<'_>, problems: &[Problem]) -> Option<Trouble> {
    let object = names::component(&facts.shop.name, TRACES);
    let found = facts.applied.deployments.iter().find(|found| found.name_any() == object);
    let ready = found.and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0) >= 1;
    not_ready(TRACES, ready, &detail(TRACES, problems))
}

fn of_cluster(name: &str, found: Option<&impl Cluster>) -> Option<Trouble> {
    let why = found.map(in_brackets).unwrap_or_default();
    not_ready(name, found.is_some_and(Cluster::ready), &why)
}

/// Clusters of other operators that are to sleep and do not say so.
pub(super) fn awake(applied: &Objects<Applied>) -> impl Iterator<Item = String> {
    let postgres = applied.postgres_clusters.iter().filter_map(|found| still_runs(POSTGRES, found));
    postgres.chain(applied.rabbitmq_clusters.iter().filter_map(|found| still_runs(RABBITMQ, found)))
}

fn still_runs(name: &str, found: &impl Cluster) -> Option<String> {
    (!found.asleep()).then(|| format!("{name} still runs{}", in_brackets(found)))
}

/// What its operator says about a cluster, to stand behind its name.
fn in_brackets(found: &impl Cluster) -> String {
    let report = found.report();
    if report.is_empty() { report } else { format!(" ({report})") }
}

fn not_ready(name: &str, ready: bool, why: &str) -> Option<Trouble> {
    (!ready).then(|| Trouble { reason: "StoreNotReady", message: format!("{name} is not ready{why}"), passes: true })
}

/// The operator does not connect to anybody's store: the Jobs of the services that use it do.
fn of_external(facts: &Facts<'_>, name: &str, problems: &[Problem]) -> Option<Trouble> {
    let done = |service: &str| {
        let mut jobs = facts.applied.jobs.iter().filter(|job| facts.migrations.contains(&job.name_any()));
        jobs.any(|job| component(job) == service && complete(job))
    };
    let open: Vec<&str> = users(name).filter(|service| !done(service)).collect();
    // Older images that run again have no Jobs: with what the Secret says they have been ready.
    if open.is_empty() || facts.returned.is_some() {
        return None;
    }
    if let Some(message) = last_words(facts, name, &open, problems) {
        return Some(Trouble { reason: UNREACHABLE, message, passes: false });
    }
    let known = facts.previous.and_then(|status| status.stores.iter().find(|store| store.name == name));
    let message = format!("{name} counts as ready when the Jobs of {} are complete", open.join(", "));
    (!known.is_some_and(|store| store.ready)).then_some(Trouble { reason: AWAITED, message, passes: true })
}

/// What the Jobs of services said last of a store that they cannot reach. Another Secret makes other Jobs, which have said nothing.
fn last_words(facts: &Facts<'_>, store: &str, services: &[&str], problems: &[Problem]) -> Option<String> {
    let field = format!("spec.{store}.external: ");
    // What `migrate` says of a store that it cannot reach begins with these words.
    let words = format!("cannot connect to {store}");
    let of_services = problems.iter().filter(|problem| services.iter().any(|name| problem.is_of_migration(name)));
    let ended: Vec<(&Problem, &str)> =
        of_services.filter_map(|problem| Some((problem, job_of(facts, problem)?))).collect();
    // What is said of several stores is told apart by semicolons.
    let complaint = |problem: &Problem| format!("{field}{}", problem.message.replace("; ", ", "));
    let complaints = ended.iter().filter(|(problem, _)| problem.message.contains(&words));
    let complaints: Vec<(String, &str)> = complaints.map(|(problem, job)| (complaint(problem), *job)).collect();

    let before = facts.previous.iter().flat_map(|status| &status.conditions);
    let before = before.filter(|condition| condition.reason == UNREACHABLE);
    let mut before = before.flat_map(|condition| condition.message.split("; "));
    let told = before.find(|part| part.starts_with(&field) && open_jobs(facts).any(|job| part.contains(job)));
    // The next try of that Job may be under way, and the others need not say the same again.
    let stays = |told: &&str| {
        !ended.iter().any(|(_, job)| told.contains(*job))
            || complaints.iter().any(|(complaint, _)| told.starts_with(complaint.as_str()))
    };
    let newest = || complaints.first().map(|(complaint, job)| format!("{complaint} (Job {job})"));
    told.filter(stays).map(str::to_owned).or_else(newest)
}

/// The wanted Job that a pod is of.
fn job_of<'a>(facts: &'a Facts<'_>, problem: &Problem) -> Option<&'a str> {
    let pod = facts.pods.iter().find(|pod| pod.name_any() == problem.pod)?;
    let is_of = |job: &&str| is_of_job(pod, job);
    facts.migrations.iter().map(String::as_str).find(is_of)
}

/// The wanted Jobs that are not complete, whether they are there or not.
fn open_jobs<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = &'a str> {
    let is_complete = move |name: &str| facts.applied.jobs.iter().any(|job| job.name_any() == name && complete(job));
    facts.migrations.iter().map(String::as_str).filter(move |name| !is_complete(name))
}
