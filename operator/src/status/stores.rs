//! Whether each store takes connections, as far as whoever runs it says so.

use kube::ResourceExt;

use super::pods::Problem;
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

/// One store, and why it is not ready.
pub(super) struct Report {
    pub status: StoreStatus,
    pub trouble: Option<Trouble>,
}

pub(super) fn reports(facts: &Facts<'_>, problems: &[Problem]) -> Vec<Report> {
    let stores = facts.shop.stores().into_iter().map(|(name, store)| {
        let trouble = store.trouble().or_else(|| match store {
            Store::Embedded(_) => of_embedded(facts, name, problems),
            Store::CloudNativePg { .. } => of_cluster(name, facts.applied.postgres_clusters.first()),
            Store::ClusterOperator { .. } => of_cluster(name, facts.applied.rabbitmq_clusters.first()),
            Store::External(_) => of_external(facts, name, problems),
        });
        report(name, store.mode(), trouble)
    });
    let traces = matches!(facts.shop.traces, Traces::Embedded { .. })
        .then(|| report(TRACES, StoreMode::Embedded, of_traces(facts, problems)));
    stores.chain(traces).collect()
}

fn report(name: &str, mode: StoreMode, trouble: Option<Trouble>) -> Report {
    let status = StoreStatus { name: name.to_owned(), mode: Some(mode), ready: trouble.is_none() };
    Report { status, trouble }
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
    let field = format!("spec.{name}.external: ");
    let done = |service: &str| {
        let mut jobs = facts.applied.jobs.iter().filter(|job| facts.migrations.contains(&job.name_any()));
        jobs.any(|job| component(job) == service && complete(job))
    };
    let users = SERVICES.iter().filter(|service| service.uses(name)).map(|service| service.name);
    let open: Vec<&str> = users.filter(|service| !done(service)).collect();
    // Older images that run again have no Jobs: with what the Secret says they have been ready.
    if open.is_empty() || facts.returned.is_some() {
        return None;
    }
    let ended: Vec<&Problem> =
        problems.iter().filter(|problem| open.iter().any(|service| problem.is_of_migration(service))).collect();
    // What `migrate` says of a store that it cannot reach begins with these words.
    let words = format!("cannot connect to {name}");
    if let Some(problem) = ended.iter().find(|problem| problem.message.contains(&words)) {
        return Some(Trouble { reason: UNREACHABLE, message: format!("{field}{}", problem.message), passes: false });
    }
    // The next try is under way; it has not said anything else yet.
    let before = facts.previous.filter(|_| ended.is_empty());
    let before = before.iter().flat_map(|status| &status.conditions).find(|condition| condition.reason == UNREACHABLE);
    let same = before.and_then(|condition| condition.message.split("; ").find(|part| part.starts_with(&field)));
    if let Some(same) = same {
        return Some(Trouble { reason: UNREACHABLE, message: same.to_owned(), passes: false });
    }
    let known = facts.previous.and_then(|status| status.stores.iter().find(|store| store.name == name));
    let message = format!("{name} has not been tried yet by the Jobs of {}", open.join(", "));
    (!known.is_some_and(|store| store.ready)).then_some(Trouble { reason: "StoreNotReady", message, passes: true })
}
