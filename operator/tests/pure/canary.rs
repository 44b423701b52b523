//! How far a canary comes, and what therefore runs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::canary::{Canaries, Facts, Measured, Measurements, all_run, decide, is_under_way};
use shopkeeper_operator::crd::{
    AnalysisSpec, CanaryPhase, CanaryStatus, Phase, RolledBack, ServiceStatus, Shop, ShopStatus,
};
use shopkeeper_operator::kinds::HttpRoute;
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Applied, Live, Objects};
use shopkeeper_operator::rollout::{is_of_canary, plan};
use shopkeeper_operator::status::canary_news;
use shopkeeper_operator::validate::ValidShop;

use crate::support::{OPERATED, SCALED, done, job_status, shop, valid};

const START: i64 = 1_000_000;

/// A Shop with canaries of order and product, and the time that passes for it.
struct Life {
    shop: Shop,
    pods: Vec<Pod>,
    measured: Measurements,
    second: i64,
}

/// What is decided at one moment.
struct Moment {
    shop: ValidShop,
    canaries: Canaries,
    now: Timestamp,
}

impl Life {
    fn of(fixture: &str) -> Self {
        let mut shop = shop(fixture);
        let ready = Condition {
            type_: "DependenciesReady".to_owned(),
            status: "True".to_owned(),
            reason: "Test".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(START)),
        };
        shop.status = Some(ShopStatus { conditions: vec![ready], ..ShopStatus::default() });
        Self { shop, pods: Vec::new(), measured: Measurements::new(), second: START }
    }

    fn analyzed() -> Self {
        let mut life = Self::of(SCALED);
        let order = life.shop.spec.services.order.as_mut().and_then(|order| order.canary.as_mut());
        let analysis = AnalysisSpec {
            interval: "5m".to_owned(),
            min_requests: 50,
            success_rate: 99.0,
            latency_p99: "200ms".to_owned(),
        };
        order.expect("a canary").analysis = Some(analysis);
        life
    }

    /// Decides so much later, on a cluster that did everything except for what `change` undoes, and keeps the status.
    fn after(&mut self, seconds: i64, change: impl Fn(&mut Objects<Live>)) -> Moment {
        self.second += seconds;
        let mut live = done(&valid(&self.shop));
        change(&mut live);
        let now = at(self.second);
        let facts = Facts { live: &live, pods: &self.pods, measured: &self.measured, now };
        let (shop, canaries) = decide(valid(&self.shop), &self.shop, &facts);
        let status = |(name, canary): (&&str, &CanaryStatus)| ServiceStatus {
            name: (*name).to_owned(),
            canary: Some(canary.clone()),
            ..ServiceStatus::default()
        };
        self.shop.status.as_mut().expect("a status").services = canaries.iter().map(status).collect();
        Moment { shop, canaries, now }
    }

    fn measure(&mut self, answers: &[(&str, u64)], within_100ms: u64) {
        let all: u64 = answers.iter().map(|(_, count)| count).sum();
        let name = "rpc_server_call_duration_seconds";
        let counts = answers.iter().map(|(code, count)| format!("{name}_count{{code=\"{code}\"}} {count}\n"));
        let buckets = [("0.1", within_100ms), ("0.25", all), ("+Inf", all)];
        let buckets = buckets.map(|(le, count)| format!("{name}_bucket{{le=\"{le}\"}} {count}\n"));
        let mut measured = Measured::default();
        measured.read(&counts.chain(buckets).collect::<String>());
        self.measured = BTreeMap::from([("order".to_owned(), Ok(measured))]);
    }
}

impl Moment {
    #[track_caller]
    fn check(&self, phase: CanaryPhase, in_message: &str) -> &CanaryStatus {
        let order = &self.canaries["order"];
        assert_eq!(order.phase, phase, "{}", order.message);
        assert!(order.message.contains(in_message), "`{in_message}` is not in `{}`", order.message);
        order
    }

    /// What goes to the canary, whether it has pods, and the version of the others.
    fn runs(&self) -> (String, bool, &str) {
        let objects = build(&self.shop);
        let shares = objects.config_maps.iter().find(|map| map.name_any() == names::traffic("alder"));
        let share = shares.and_then(|map| map.data.as_ref()).map(|shares| shares["order"].clone());
        let pods = objects.deployments.iter().any(|found| found.name_any() == "alder-order-canary");
        let order = self.shop.services.iter().find(|service| service.service.name == "order").expect("order");
        (share.expect("a share"), pods, &order.version)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn without_pods(live: &mut Objects<Live>) {
    live.deployments.retain(|found| found.name_any() != "alder-order-canary");
}

/// As a Shop leaves it that slept.
fn with_no_pods(live: &mut Objects<Live>) {
    let mut deployments = live.deployments.iter_mut();
    let canary = deployments.find(|found| found.name_any() == "alder-order-canary").expect("a canary");
    canary.spec.as_mut().expect("a spec").replicas = Some(0);
    canary.status = Some(DeploymentStatus::default());
}

fn crashing() -> Pod {
    let mut pod = Pod::default();
    pod.labels_mut().insert(names::COMPONENT_LABEL.to_owned(), "order-canary".to_owned());
    let waiting = ContainerStateWaiting { reason: Some("CrashLoopBackOff".to_owned()), message: None };
    let state = Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() });
    let container = ContainerStatus { state, ..ContainerStatus::default() };
    pod.status = Some(PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() });
    pod
}

#[test]
fn a_canary_gets_its_share_once_it_is_ready_and_takes_over_when_it_was_good_for_long_enough() {
    let mut life = Life::analyzed();
    let starting = life.after(0, without_pods);
    starting.check(CanaryPhase::Starting, "its migration or its pods are not ready");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(starting.runs(), ("0".to_owned(), true, version));

    let progressing = life.after(10, |_| ());
    progressing.check(CanaryPhase::Progressing, "have not been asked yet");
    assert_eq!(progressing.runs(), ("60".to_owned(), true, version));
    life.measure(&[("OK", 49)], 49);
    life.after(10, |_| ()).check(CanaryPhase::Progressing, "have answered 49, 50 are needed");
    life.measure(&[("OK", 200), ("NOT_FOUND", 100), ("INTERNAL", 3)], 303);
    let good = life.after(10, |_| ());
    let order = good.check(CanaryPhase::Progressing, "good so far");
    assert_eq!((order.requests, order.success_rate), (Some(303), Some(99.0)));

    let promoted = life.after(300, |_| ());
    promoted.check(CanaryPhase::Promoted, "99 % of 303 succeeded");
    assert_eq!(promoted.runs(), ("0".to_owned(), true, "2.0.0"), "its pods have a moment to finish");
    assert!(is_under_way(&promoted.canaries, promoted.now));
    let settled = life.after(60, |_| ());
    assert_eq!(settled.runs(), ("0".to_owned(), false, "2.0.0"));
    settled.check(CanaryPhase::Promoted, "");
}

#[test]
fn a_canary_that_fails_too_often_or_is_too_slow_is_rolled_back_at_once_and_stays_away_until_the_spec_changes() {
    for (answers, fast, why) in [
        (&[("OK", 90), ("UNAVAILABLE", 10)][..], 100, "90 % of 100 succeeded, 99 % are needed"),
        (&[("OK", 100)][..], 60, "99 % of answers took up to 246ms, 200ms is the longest"),
    ] {
        let mut life = Life::analyzed();
        life.after(0, |_| ());
        life.after(0, |_| ()).check(CanaryPhase::Progressing, "");
        life.measure(answers, fast);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(life.after(1, |_| ()).runs(), ("0".to_owned(), true, version));
        let back = life.after(60, |_| ());
        back.check(CanaryPhase::RolledBack, why);
        assert_eq!(back.runs(), ("0".to_owned(), false, version));

        life.shop.spec.services.order.as_mut().and_then(|order| order.canary.as_mut()).expect("a canary").weight = 5;
        life.after(60, |_| ()).check(CanaryPhase::Starting, "");
    }
}

#[test]
fn a_canary_without_pods_that_serve_is_rolled_back() {
    let mut broken = Life::analyzed();
    broken.after(0, without_pods);
    broken.pods = vec![crashing()];
    broken.after(5, without_pods).check(CanaryPhase::RolledBack, "it does not start (CrashLoopBackOff");

    let mut late = Life::analyzed();
    late.after(0, without_pods);
    late.after(299, without_pods).check(CanaryPhase::Starting, "");
    late.after(1, without_pods).check(CanaryPhase::RolledBack, "it did not become ready in time");

    let mut failed = Life::analyzed();
    failed.after(0, without_pods);
    let migration = |live: &mut Objects<Live>| {
        without_pods(live);
        live.jobs.iter_mut().for_each(|job| job.status = Some(job_status("Failed")));
    };
    failed.after(5, migration).check(CanaryPhase::RolledBack, "it does not start");
}

#[test]
fn what_stores_do_is_no_fault_of_a_canary() {
    let mut life = Life::analyzed();
    life.after(0, without_pods);
    life.pods = vec![crashing()];
    let conditions = std::mem::take(&mut life.shop.status.as_mut().expect("a status").conditions);
    life.after(999, without_pods).check(CanaryPhase::Starting, "");
    life.shop.status.as_mut().expect("a status").conditions = conditions;
    life.after(0, without_pods).check(CanaryPhase::RolledBack, "");
}

#[test]
fn without_an_analysis_a_canary_keeps_its_share_until_somebody_decides() {
    let mut life = Life::of(SCALED);
    life.after(0, |_| ());
    life.measure(&[("INTERNAL", 1000)], 0);
    let kept = life.after(999_999, |_| ());
    kept.check(CanaryPhase::Progressing, "until the spec changes");
    kept.check(CanaryPhase::Progressing, "requests of customers are not split");
    assert_eq!(kept.runs().0, "60");
}

#[test]
fn a_promoted_canary_stays_promoted_when_the_spec_follows_and_another_image_is_another_attempt() {
    let mut life = Life::analyzed();
    life.after(0, |_| ());
    life.after(0, |_| ());
    life.measure(&[("OK", 100)], 100);
    life.after(999, |_| ()).check(CanaryPhase::Promoted, "");
    life.shop.spec.version = Some("2.0.0".to_owned());
    life.after(1, |_| ()).check(CanaryPhase::Promoted, "");
    life.shop.spec.version = Some("3.0.0".to_owned());
    let next = life.after(1, |_| ());
    next.check(CanaryPhase::Starting, "");
    assert_eq!(next.runs().2, "3.0.0");
}

#[test]
fn a_canary_that_was_good_for_long_enough_takes_over_when_no_rollout_is_taken_back_any_more() {
    let mut life = Life::analyzed();
    life.after(0, |_| ());
    life.after(0, |_| ());
    life.measure(&[("OK", 100)], 100);
    life.shop.status.as_mut().expect("a status").rolled_back = Some(RolledBack::default());
    let waiting = life.after(999, |_| ());
    waiting.check(CanaryPhase::Progressing, "it takes over when no rollout is taken back any more");
    assert_eq!(waiting.runs(), ("60".to_owned(), true, env!("CARGO_PKG_VERSION")));
    life.shop.status.as_mut().expect("a status").rolled_back = None;
    life.after(1, |_| ()).check(CanaryPhase::Promoted, "");
}

#[test]
fn a_sleeping_shop_leaves_its_canaries_where_they_are() {
    let mut life = Life::analyzed();
    life.after(0, |_| ());
    life.after(0, |_| ()).check(CanaryPhase::Progressing, "");
    life.shop.spec.lifecycle.hibernated = true;
    life.after(999, without_pods).check(CanaryPhase::Progressing, "");
    life.shop.spec.lifecycle.hibernated = false;
    let waking = life.after(1, with_no_pods);
    waking.check(CanaryPhase::Starting, "");
    assert_eq!(waking.runs().0, "0", "nobody would answer");
    life.after(1, without_pods).check(CanaryPhase::Starting, "");
}

#[test]
fn canaries_run_as_they_are_to_when_their_migrations_are_done_and_their_pods_are_the_present_ones() {
    let wanted = valid(&shop(SCALED));
    let held = |live: &Objects<Live>| plan(&wanted, build(&wanted), live, &[], &[], at(START)).held;
    let mut live = done(&wanted);
    assert!(all_run(&wanted, &held(&live), &done(&wanted)));

    let migration = live.jobs.iter_mut().find(|job| is_of_canary(*job)).expect("a migration of a canary");
    migration.status = None;
    assert!(!all_run(&wanted, &held(&live), &done(&wanted)), "pods of before are ready, with the log-ins of before");
    let mut applied: Objects<Applied> = done(&wanted);
    let canary = applied.deployments.iter_mut().find(|found| is_of_canary(*found)).expect("a canary");
    canary.status = None;
    assert!(!all_run(&wanted, &BTreeSet::new(), &applied), "pods of before may be left");
}

/// What a route sends to the pods of user.
fn weights(route: &HttpRoute) -> Vec<(String, i32)> {
    let user = route.spec.rules.iter().find(|rule| rule.matches[0].path.value == "/api/v1/auth");
    let backends = user.expect("a rule").backend_refs.iter();
    backends.map(|backend| (backend.name.clone(), backend.weight)).collect()
}

fn backends(stable: i32, canary: i32) -> Vec<(String, i32)> {
    vec![("beech-user".to_owned(), stable), ("beech-user-canary".to_owned(), canary)]
}

#[test]
fn a_route_through_a_gateway_sends_a_canary_its_share_while_it_serves() {
    let weights = |moment: &Moment| weights(&build(&moment.shop).http_routes[0]);
    let mut life = Life::of(OPERATED);
    let away = |live: &mut Objects<Live>| live.deployments.clear();
    assert_eq!(weights(&life.after(0, away)), backends(100, 0));
    assert_eq!(weights(&life.after(0, |_| ())), backends(90, 10));
    assert_eq!(weights(&life.after(0, away)), backends(100, 0));
    let gone = life.after(999, away);
    assert_eq!(weights(&gone), backends(100, 0), "its pods have a moment to finish");
    assert_eq!(weights(&life.after(999, away)), [("beech-user".to_owned(), 100)]);
}

#[test]
fn policies_know_the_pods_of_a_canary_that_ended_until_they_are_gone() {
    let policies = |moment: &Moment| build(&moment.shop).network_policies;
    let mut life = Life::of(SCALED);
    let before = policies(&life.after(0, |_| ()));
    life.shop.spec.services.order.as_mut().expect("order").canary = None;
    let mut pod = Pod::default();
    pod.labels_mut().insert(names::COMPONENT_LABEL.to_owned(), names::canary("order"));
    life.pods = vec![pod];
    let ended = life.after(0, |_| ());
    assert!(!ended.runs().1, "it is not wanted any more");
    assert_eq!(policies(&ended), before);

    life.pods[0].metadata.deletion_timestamp = Some(Time(at(START + 30)));
    assert_eq!(policies(&life.after(29, |_| ())), before, "it finishes what it has begun");
    let without = build(&valid(&life.shop)).network_policies;
    assert_ne!(without, before);
    assert_eq!(policies(&life.after(1, |_| ())), without, "its node is gone");
    life.pods.clear();
    assert_eq!(policies(&life.after(0, |_| ())), without);
}

#[test]
fn a_route_through_a_gateway_that_stays_until_an_ingress_is_served_sends_a_canary_its_present_share() {
    let mut life = Life::of(OPERATED);
    let away = |live: &mut Objects<Live>| live.deployments.clear();
    life.after(0, |_| ());
    let live: Objects<Live> = done(&life.after(0, |_| ()).shop);
    life.shop.spec.ingress.gateway = None;
    let sent = |moment: &Moment| {
        let objects = plan(&moment.shop, build(&moment.shop), &live, &[], &[], moment.now).objects;
        let has_name = objects.services.iter().any(|service| service.name_any() == "beech-user-canary");
        (weights(&objects.http_routes[0]), has_name)
    };
    assert_eq!(sent(&life.after(0, |_| ())), (backends(90, 10), true));
    assert_eq!(sent(&life.after(0, away)), (backends(100, 0), true));
    let gone = life.after(999, away);
    assert_eq!(sent(&gone), (backends(100, 0), true), "its pods have a moment to finish");
    assert_eq!(sent(&life.after(999, away)), (vec![("beech-user".to_owned(), 100)], false));
}

#[test]
fn each_turn_of_a_canary_is_news_once() {
    let mut life = Life::analyzed();
    life.after(0, |_| ());
    life.after(0, |_| ());
    let before = life.shop.status.clone();
    assert!(canary_news(before.as_ref(), before.as_ref().expect("a status")).is_empty());
    life.measure(&[("INTERNAL", 100)], 100);
    life.after(SignedDuration::from_mins(1).as_secs(), |_| ());
    let mut status = life.shop.status.clone().expect("a status");
    status.phase = Some(Phase::Ready);
    let news = canary_news(before.as_ref(), &status);
    assert_eq!((news.len(), news[0].warning, news[0].reason.as_str()), (1, true, "CanaryRolledBack"));
    assert!(news[0].message.starts_with("order 2.0.0: 0 % of 100 succeeded"), "{}", news[0].message);
}
