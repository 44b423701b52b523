//! One function per condition, and what they add up to.

use std::borrow::Cow;
use std::cmp::Reverse;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use super::pods::Problem;
use super::stores::{AWAITED, Report, all_well, awake};
use super::{Facts, detail};
use crate::canary::Canaries;
use crate::catalog::STORES;
use crate::crd::{CanaryPhase, CanaryStatus, Phase, RolledBack, ServiceStatus};
use crate::identities::MISSING;
use crate::names;
use crate::rollout::{OUT_OF_TIME, complete, failed, has_enough, out_of_time, runs};
use crate::rotation::{Rotation, Stage, Wish};
use crate::stores::Trouble;
use crate::validate::{Traces, ValidShop};

/// A condition before it gets its time.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub type_: &'static str,
    pub holds: bool,
    pub reason: Cow<'static, str>,
    pub message: String,
    /// Whether time alone can change the verdict; if not, somebody must do something.
    pub will_pass: bool,
}

/// What Ready consists of, in the order in which things happen.
pub(super) struct Parts {
    pub dependencies: Verdict,
    pub migrated: Verdict,
    pub services: Verdict,
    pub certificates: Option<Verdict>,
    pub credentials: Verdict,
    pub route: Verdict,
    pub returned: Option<Verdict>,
    pub canaries: Option<Verdict>,
    pub autoscaling: Option<Verdict>,
    pub development: Verdict,
}

impl Verdict {
    pub fn yes(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, holds: true, reason: reason.into(), message: message.into(), will_pass: false }
    }

    pub fn no(type_: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        let reason = Cow::Owned(reason.into());
        Self { type_, holds: false, reason, message: message.into(), will_pass: false }
    }

    /// Not yet, without anything being wrong.
    pub fn not_yet(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, holds: false, reason: reason.into(), message: message.into(), will_pass: true }
    }

    pub fn into_condition<'a>(
        self,
        generation: Option<i64>,
        before: &impl Fn(&str) -> Option<&'a Condition>,
        now: Timestamp,
    ) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let since = before(self.type_).filter(|before| before.status == status);
        Condition {
            type_: self.type_.to_owned(),
            status: status.to_owned(),
            reason: self.reason.into_owned(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: since.map_or(Time(now), |before| before.last_transition_time.clone()),
        }
    }
}

impl Parts {
    /// The first thing that keeps the Shop from being ready. Stores that wait for Jobs come after what those Jobs cannot do.
    fn obstacle(&self) -> Option<&Verdict> {
        let stuck = !self.migrated.holds && !self.migrated.will_pass;
        let behind = usize::from(stuck && self.dependencies.reason == AWAITED);
        let parts = [&self.dependencies, &self.migrated, &self.services].into_iter().skip(behind);
        // Nobody makes a certificate for an Ingress that is not there.
        let is_unrouted = !self.route.holds && !self.route.will_pass;
        let certificates = self.certificates.iter().filter(|told| !(is_unrouted && told.reason == MISSING));
        let mut parts = parts.chain(certificates).chain([&self.route]);
        parts.find(|part| !part.holds).or(self.returned.as_ref())
    }

    pub fn phase(&self) -> Phase {
        match self.obstacle() {
            None => Phase::Ready,
            Some(obstacle) if !obstacle.will_pass => Phase::Blocked,
            Some(obstacle) => match obstacle.type_ {
                "DependenciesReady" => Phase::Preparing,
                "Migrated" => Phase::Migrating,
                _ => Phase::RollingOut,
            },
        }
    }

    pub fn all(self) -> Vec<Verdict> {
        let (ready, progressing, stalled) = match self.obstacle() {
            None => {
                let message = "stores, migrations, services, certificates and route are as wanted";
                (Verdict::yes("Ready", "AsWanted", message), Verdict::no("Progressing", "AsWanted", message), None)
            }
            Some(obstacle) => (
                Verdict { type_: "Ready", holds: false, ..obstacle.clone() },
                Verdict { type_: "Progressing", holds: obstacle.will_pass, ..obstacle.clone() },
                (!obstacle.will_pass).then(|| stalled(obstacle)),
            ),
        };
        let Self {
            dependencies,
            migrated,
            services,
            certificates,
            credentials,
            route,
            returned,
            canaries,
            autoscaling,
            development,
        } = self;
        let all = [ready, progressing].into_iter().chain(stalled).chain([dependencies, migrated, services]);
        all.chain(certificates)
            .chain([credentials, route])
            .chain(returned)
            .chain(canaries)
            .chain(autoscaling)
            .chain([development])
            .collect()
    }
}

/// That somebody has to do something, in the word that kstatus (sigs.k8s.io/cli-utils) knows for it: tools that wait for a Shop
/// need not wait any longer.
pub(super) fn stalled(obstacle: &Verdict) -> Verdict {
    Verdict { type_: "Stalled", holds: true, ..obstacle.clone() }
}

/// What is left to say of a Shop that is to sleep. Once it does, it is what it should be, and it does not serve. `Ready` has no
/// value for that: by kstatus a false one, and an unknown one too, is waited for. So there is none.
pub(super) fn hibernated(facts: &Facts<'_>, parts: Parts) -> Vec<Verdict> {
    const REASON: &str = "Hibernated";
    let pods = facts.pods.iter().filter(|pod| runs(pod)).count();
    let pods = (pods > 0).then(|| format!("{pods} pods are left"));
    let left: Vec<String> = pods.into_iter().chain(awake(facts.applied)).collect();
    let stopping = !left.is_empty();
    let asleep = "everything is stopped, the data is kept; set spec.lifecycle.hibernated to false to wake it";
    let message = if stopping { format!("stopping, {}", left.join("; ")) } else { asleep.to_owned() };
    let verdict = |type_, holds| Verdict { holds, ..Verdict::no(type_, REASON, message.clone()) };
    let ready = stopping.then(|| verdict("Ready", false));
    let others = [verdict("Progressing", stopping), verdict("Hibernated", !stopping), parts.route, parts.development];
    ready.into_iter().chain(others).collect()
}

pub(super) fn dependencies(stores: &[Report], problems: &[Problem]) -> Verdict {
    const TYPE: &str = "DependenciesReady";
    let missing: Vec<(&str, &Trouble)> =
        stores.iter().filter_map(|store| Some((store.status.name.as_str(), store.trouble.as_ref()?))).collect();
    if missing.is_empty() {
        return Verdict::yes(TYPE, "StoresReady", all_well(stores));
    }
    let texts: Vec<&str> = missing.iter().map(|(_, trouble)| trouble.message.as_str()).collect();
    if let Some((_, lasting)) = missing.iter().find(|(_, trouble)| !trouble.passes) {
        return Verdict::no(TYPE, lasting.reason, texts.join("; "));
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let awaited = missing.iter().all(|(_, trouble)| trouble.reason == AWAITED);
    not_ready(TYPE, if awaited { AWAITED } else { "StoreNotReady" }, texts.join("; "), &names, problems)
}

pub(super) fn migrated(facts: &Facts<'_>, problems: &[Problem]) -> Verdict {
    const TYPE: &str = "Migrated";
    const FAILED: &str = "MigrationFailed";
    let wanted = facts.migrations;
    let job = |name: &String| facts.applied.jobs.iter().find(|job| job.name_any() == *name);
    if wanted.iter().all(|name| job(name).is_some_and(complete)) {
        return Verdict::yes(TYPE, "MigrationsComplete", "the databases fit the version");
    }
    if let Some(failed) = wanted.iter().find(|name| job(name).is_some_and(failed)) {
        let cause = problems.iter().find(|problem| problem.is_of_job(failed, facts.pods));
        let cause = cause.map(|problem| format!(": {}", problem.text())).unwrap_or_default();
        let message = format!(
            "Job {failed} failed{cause}; pods stay as they were; it is tried again soon, at once if you delete the Job"
        );
        return Verdict::no(TYPE, FAILED, message);
    }
    let open: Vec<&String> = wanted.iter().filter(|name| !job(name).is_some_and(complete)).collect();
    // The next try is under way, and has not come further yet.
    let mut before = facts.previous.iter().flat_map(|status| &status.conditions);
    let same = |told: &&Condition| {
        told.type_ == TYPE && told.reason == FAILED && open.iter().any(|name| told.message.contains(name.as_str()))
    };
    if let Some(told) = before.find(same) {
        return Verdict::no(TYPE, FAILED, told.message.clone());
    }
    if open.iter().all(|name| job(name).is_none()) {
        return Verdict::not_yet(TYPE, "WaitingForStores", "migrations start when every store is ready");
    }
    let stuck = problems.iter().find(|problem| open.iter().any(|name| problem.is_of_job(name, facts.pods)));
    match stuck {
        Some(problem) if problem.lasting => {
            let message = format!("{}; pods stay as they were", problem.text());
            Verdict::no(TYPE, problem.reason.clone(), message)
        }
        _ => {
            let names: Vec<&str> = open.iter().map(|name| name.as_str()).collect();
            Verdict::not_yet(TYPE, "MigrationsRunning", format!("running: {}", names.join(", ")))
        }
    }
}

pub(super) fn services(facts: &Facts<'_>, services: &[ServiceStatus], problems: &[Problem]) -> Verdict {
    const TYPE: &str = "ServicesReady";
    let deployment = |service: &ServiceStatus| {
        let object = names::component(&facts.shop.name, &service.name);
        facts.applied.deployments.iter().find(|found| found.name_any() == object)
    };
    let text = |service: &ServiceStatus| {
        format!("{} {}/{}{}", service.name, service.ready, service.desired, detail(&service.name, problems))
    };
    let wanted = facts.shop.services.iter().map(|service| service.replicas);
    let unfinished = services.iter().zip(wanted).filter(|(service, replicas)| {
        // One that slept and waits for its turn has as many pods as it was told to have: none.
        let serves = |found| service.ready > 0 && has_enough(found, *replicas);
        !deployment(service).is_some_and(serves)
    });
    let unfinished: Vec<&ServiceStatus> = unfinished.map(|(service, _)| service).collect();
    if unfinished.is_empty() {
        let growing: Vec<String> =
            services.iter().filter(|service| service.ready < service.desired).map(text).collect();
        let message = match growing.as_slice() {
            [] => "every service runs with all its pods".to_owned(),
            growing => format!("every service has the pods that it needs, and is to get more: {}", growing.join("; ")),
        };
        return Verdict::yes(TYPE, "ServicesReady", message);
    }
    let texts: Vec<String> = unfinished.iter().copied().map(text).collect();
    let names: Vec<&str> = unfinished.iter().map(|service| service.name.as_str()).collect();
    let verdict = not_ready(TYPE, "ServicesNotReady", texts.join("; "), &names, problems);
    let late = unfinished.iter().any(|service| deployment(service).is_some_and(out_of_time));
    if late && verdict.will_pass { Verdict::no(TYPE, OUT_OF_TIME, verdict.message) } else { verdict }
}

/// Older images run than those that are wanted. The Shop serves, but it is not what its spec says.
pub(super) fn returned(shop: &ValidShop, failed: &RolledBack) -> Verdict {
    const TYPE: &str = "RolledBack";
    let troubles: Vec<Trouble> = shop.stores().iter().filter_map(|(_, store)| store.trouble()).collect();
    let Some(first) = troubles.first() else { return Verdict::yes(TYPE, "RolledBack", failed.message.clone()) };
    // Whether what failed is what is wanted now is not known either.
    let texts: Vec<&str> = troubles.iter().map(|trouble| trouble.message.as_str()).collect();
    let message = format!(
        "the images of {} run as before; whether those of the spec are tried is decided when it is known how every store is \
         reached: {}",
        shop.version,
        texts.join("; ")
    );
    Verdict::yes(TYPE, first.reason, message)
}

/// How far canaries came, the one that came least far first. It is no part of being ready: the service does its work without.
pub(super) fn canaries(canaries: &Canaries) -> Option<Verdict> {
    const TYPE: &str = "CanaryPromoted";
    let phase = canaries.values().map(|canary| canary.phase).max()?;
    let mut canaries: Vec<_> = canaries.iter().collect();
    canaries.sort_by_key(|(_, canary)| Reverse(canary.phase));
    let texts = canaries.into_iter().map(|(service, CanaryStatus { version, weight, message, .. })| {
        format!("{service} {version} at {weight} %: {message}")
    });
    let message = texts.collect::<Vec<_>>().join("; ");
    Some(match phase {
        CanaryPhase::Promoted => Verdict::yes(TYPE, "Promoted", message),
        CanaryPhase::Progressing => Verdict::not_yet(TYPE, "Progressing", message),
        CanaryPhase::Starting => Verdict::not_yet(TYPE, "Starting", message),
        CanaryPhase::RolledBack => Verdict::no(TYPE, "RolledBack", message),
    })
}

/// Where the generated passwords and keys are on the way to their next generation. Everything works meanwhile.
pub(super) fn credentials(rotation: &Rotation, wish: &Wish) -> Verdict {
    const TYPE: &str = "CredentialsSettled";
    let number = rotation.generation;
    match rotation.stage {
        Stage::Settled if rotation.is_awaited(wish) => {
            let message =
                format!("generation {} is asked for and begins when stores and services run as wanted", number + 1);
            Verdict::not_yet(TYPE, "Requested", message)
        }
        Stage::Settled => Verdict::yes(TYPE, "Settled", format!("generation {number} is in use")),
        Stage::Publishing => {
            let message = format!("stores and services learn generation {} beside {number}", number + 1);
            Verdict::not_yet(TYPE, "Publishing", message)
        }
        Stage::Moving => Verdict::not_yet(
            TYPE,
            "Moving",
            format!("services go over to generation {number}; the last one is still good"),
        ),
        Stage::Closing => {
            Verdict::not_yet(TYPE, "Closing", format!("only generation {number} is used; the last one is forgotten"))
        }
    }
}

/// Whether autoscalers can do their work. It is no part of being ready: without metrics the pods stay as many as they are.
pub(super) fn autoscaling(autoscalers: &[HorizontalPodAutoscaler]) -> Option<Verdict> {
    const TYPE: &str = "AutoscalingActive";
    let told = |autoscaler: &HorizontalPodAutoscaler| {
        let conditions = autoscaler.status.as_ref()?.conditions.clone()?;
        conditions.into_iter().find(|condition| condition.type_ == "ScalingActive")
    };
    let idle = autoscalers.iter().find_map(|found| match told(found) {
        Some(condition) if condition.status == "True" => None,
        condition => Some((found.name_any(), condition)),
    });
    match idle {
        _ if autoscalers.is_empty() => None,
        None => Some(Verdict::yes(TYPE, "Scaling", "autoscalers see the load of the pods")),
        Some((name, None)) => Some(Verdict::not_yet(TYPE, "Starting", format!("{name} has not looked yet"))),
        Some((name, Some(condition))) => {
            let message = condition.message.unwrap_or_default();
            Some(Verdict::no(TYPE, condition.reason.unwrap_or_default(), format!("{name}: {message}")))
        }
    }
}

/// Says what keeps the Shop from being fit for production.
pub(super) fn development(shop: &ValidShop) -> Verdict {
    let traces = matches!(shop.traces, Traces::Embedded { .. }).then_some("the trace store keeps traces in memory");
    let log_mail = shop.users.mail.log.is_some().then_some("mails are written to the log of user");
    let embedded = shop.embedded_stores();
    let stores = match embedded.len() {
        0 => None,
        count if count == STORES.len() => Some("stores are embedded and have one instance each".to_owned()),
        _ => Some(format!("{} embedded, with one instance each", embedded.join(" and "))),
    };
    let others = [Some("payment and delivery providers are mocks"), log_mail, traces];
    let used: Vec<String> = stores.into_iter().chain(others.into_iter().flatten().map(str::to_owned)).collect();
    Verdict::yes("DevelopmentOnly", "DevelopmentSettings", used.join("; "))
}

/// Not ready: for a reason that lasts when a pod reports one, else because it takes time.
fn not_ready(
    type_: &'static str,
    reason: &'static str,
    message: String,
    components: &[&str],
    problems: &[Problem],
) -> Verdict {
    let mut lasting = problems.iter().filter(|problem| problem.lasting);
    match lasting.find(|problem| components.contains(&problem.component.as_str())) {
        Some(problem) => Verdict::no(type_, problem.reason.clone(), message),
        None => Verdict::not_yet(type_, reason, message),
    }
}
