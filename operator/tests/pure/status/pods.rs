//! What the status says of pods that fail, or are not there.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt;
use shopkeeper_operator::crd::{Phase, ShopStatus};
use shopkeeper_operator::objects::{Applied, Objects};

use super::{Scene, check, ended, pod, scene, waiting};
use crate::support::{SCALED, done, job_status, shop, valid};

/// No pod of a service is ready.
pub(super) fn unready(objects: &mut Objects<Applied>, service: &str) {
    let status = status_of(objects, service);
    status.ready_replicas = Some(0);
    status.available_replicas = Some(0);
}

fn deployment<'a>(objects: &'a mut Objects<Applied>, service: &str) -> &'a mut Deployment {
    let is_wanted = |found: &&mut Deployment| found.name_any().ends_with(&format!("-{service}"));
    objects.deployments.iter_mut().find(is_wanted).expect("a Deployment")
}

fn status_of<'a>(objects: &'a mut Objects<Applied>, service: &str) -> &'a mut DeploymentStatus {
    deployment(objects, service).status.as_mut().expect("a status")
}

fn told(type_: &str, reason: &str, message: &str) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: if type_ == "Progressing" { "False" } else { "True" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(at(0)),
        ..DeploymentCondition::default()
    }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

fn running(since: i64) -> ContainerState {
    let running = ContainerStateRunning { started_at: Some(at(since)) };
    ContainerState { running: Some(running), ..ContainerState::default() }
}

/// A failure after a run of so many seconds.
fn ended_after(seconds: i64) -> ContainerState {
    let mut state = ended(101, "no route to the catalog");
    let end = state.terminated.as_mut().expect("an end");
    (end.started_at, end.finished_at) = (Some(at(0)), Some(at(seconds)));
    state
}

fn container(pod: &mut Pod) -> &mut ContainerStatus {
    let status = pod.status.as_mut().expect("a status");
    &mut status.container_statuses.as_mut().expect("containers")[0]
}

/// A pod of cart that was started again several times, the last time after a run of so many seconds.
fn restarted(state: ContainerState, last_run: i64) -> Pod {
    let mut pod = pod("acorn-cart-1", "cart", state);
    let container = container(&mut pod);
    container.restart_count = 4;
    container.last_state = Some(ended_after(last_run));
    pod
}

fn with_pods(pods: Vec<Pod>) -> Scene {
    Scene { pods, ..scene() }
}

#[track_caller]
fn check_under_way(status: &ShopStatus) {
    check(status, "Ready", "False", "ServicesNotReady", "cart 0/1");
    check(status, "Progressing", "True", "ServicesNotReady", "cart 0/1");
    assert!(status.conditions.iter().all(|told| told.type_ != "Stalled" && !told.message.contains("CrashLoopBackOff")));
}

#[test]
fn a_crash_loop_is_one_status_whatever_the_container_does_at_the_moment() {
    let states = [waiting("CrashLoopBackOff", "back-off 40s"), running(900), ended_after(3)];
    let told_late = |objects: &mut Objects<Applied>| {
        unready(objects, "cart");
        let late = told("Progressing", "ProgressDeadlineExceeded", "");
        status_of(objects, "cart").conditions = Some(vec![late]);
    };
    let looping = |state: &ContainerState| with_pods(vec![restarted(state.clone(), 3)]);
    let statuses: Vec<ShopStatus> =
        states.iter().map(|state| looping(state).status(|objects| unready(objects, "cart"))).collect();
    check(&statuses[0], "Stalled", "True", "CrashLoopBackOff", "no route to the catalog");
    assert_eq!(statuses[0].phase, Some(Phase::Blocked));
    assert_eq!((&statuses[1], &statuses[2]), (&statuses[0], &statuses[0]));
    for state in &states {
        assert_eq!(looping(state).status(told_late), statuses[0], "there is one cause, in time and late");
    }
}

#[test]
fn a_container_that_crashed_long_ago_and_serves_is_in_no_loop() {
    let mut was_ready = restarted(running(900), 3);
    let turned =
        PodCondition { type_: "Ready".to_owned(), last_transition_time: Some(at(950)), ..PodCondition::default() };
    was_ready.status.as_mut().expect("a status").conditions = Some(vec![turned]);
    for pod in [was_ready, restarted(ended_after(3), 86_400), restarted(ended_after(86_400), 3)] {
        check_under_way(&with_pods(vec![pod]).status(|objects| unready(objects, "cart")));
    }
}

#[test]
fn one_more_pod_for_the_load_takes_nothing_from_a_shop_that_is_ready() {
    let mut waits = pod("alder-order-3", "order", ContainerState::default());
    let unscheduled = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some("0/3 nodes are available".to_owned()),
        ..PodCondition::default()
    };
    waits.status.as_mut().expect("a status").conditions = Some(vec![unscheduled]);
    let scene = Scene { shop: shop(SCALED), ..with_pods(vec![waits]) };
    let status = |service: &str, wanted: i32, updated: i32, available: i32| {
        scene.status(|objects| {
            deployment(objects, service).spec.as_mut().expect("a spec").replicas = Some(wanted);
            let status = status_of(objects, service);
            (status.replicas, status.updated_replicas) = (Some(wanted), Some(updated));
            (status.ready_replicas, status.available_replicas) = (Some(available), Some(available));
        })
    };
    let growing = status("order", 3, 3, 2);
    check(&growing, "Ready", "True", "AsWanted", "");
    check(&growing, "ServicesReady", "True", "ServicesReady", "order 2/3 (Unschedulable: 0/3 nodes are available)");
    assert_eq!((growing.services_ready.as_deref(), growing.phase), (Some("7/7"), Some(Phase::Ready)));
    assert!(growing.last_ready.is_some() && growing.runs(), "what waits for a Shop that runs goes on");

    check(&status("order", 3, 3, 1), "Ready", "False", "Unschedulable", "order 1/3");
    check(&status("order", 3, 2, 2), "ServicesReady", "False", "Unschedulable", "order 2/3");
    check(&status("user", 2, 2, 1), "ServicesReady", "False", "ServicesNotReady", "user 1/2");
}

#[test]
fn pods_that_are_refused_are_told_in_the_words_of_who_refuses_them() {
    const WORDS: &str = "pods \"acorn-cart-x\" is forbidden: exceeded quota: compute";
    let status = |second| {
        Scene { second, ..scene() }.status(|objects| {
            unready(objects, "cart");
            let status = status_of(objects, "cart");
            (status.replicas, status.updated_replicas) = (None, None);
            status.conditions = Some(vec![told("ReplicaFailure", "FailedCreate", WORDS)]);
        })
    };
    check(&status(2), "ServicesReady", "False", "ServicesNotReady", WORDS);
    check(&status(2), "Progressing", "True", "ServicesNotReady", WORDS);
    check(&status(100), "Stalled", "True", "FailedCreate", WORDS);
}

#[test]
fn a_migration_for_which_no_pod_can_be_made_is_not_said_to_run() {
    let status = |second, failed| {
        Scene { second, ..scene() }.status(|objects| {
            let started = JobStatus { start_time: Some(at(0)), failed, ..JobStatus::default() };
            objects.jobs[2].status = Some(started);
        })
    };
    check(&status(2, None), "Migrated", "False", "MigrationsRunning", "running");
    let name = done::<Applied>(&valid(&scene().shop)).jobs[2].name_any();
    check(&status(100, None), "Migrated", "False", "NoPod", &format!("kubectl describe job {name}"));
    check(&status(100, None), "Stalled", "True", "NoPod", "");
    check(&status(100, Some(1)), "Migrated", "False", "MigrationsRunning", "running");
}

/// A pod of product's migration, whose own name has only the beginning of that of its Job.
fn cut(job: &str, state: ContainerState) -> Pod {
    let mut pod = pod(&format!("{}vwxyz", &job[..58]), "product-migrate", state);
    pod.metadata.owner_references = Some(vec![OwnerReference { name: job.to_owned(), ..OwnerReference::default() }]);
    pod
}

#[test]
fn the_pod_of_a_migration_is_found_in_a_shop_with_a_long_name() {
    let mut shop = scene().shop;
    shop.metadata.name = Some("a".repeat(36));
    let job = done::<Applied>(&valid(&shop)).jobs[1].name_any();
    let status = |state: ContainerState, told: JobStatus| {
        let scene = Scene { shop: shop.clone(), second: 100, ..with_pods(vec![cut(&job, state)]) };
        scene.status(|objects| objects.jobs[1].status = Some(told.clone()))
    };
    let started = JobStatus { start_time: Some(at(0)), ..JobStatus::default() };
    check(&status(waiting("ContainerCreating", ""), started), "Migrated", "False", "MigrationsRunning", &job);
    let failed = status(ended(1, "column price is missing"), job_status("Failed"));
    check(&failed, "Migrated", "False", "MigrationFailed", "column price is missing");
}

#[test]
fn a_store_without_a_pod_says_where_the_cause_is_told() {
    const HINT: &str = "kubectl describe statefulset acorn-redis";
    let status = |second, pods| {
        Scene { second, ..with_pods(pods) }.status(|objects| {
            let set = objects.stateful_sets.iter_mut().find(|set| set.name_any() == "acorn-redis").expect("a store");
            set.metadata.creation_timestamp = Some(at(0));
            set.status = None;
        })
    };
    check(&status(100, Vec::new()), "DependenciesReady", "False", "StoreNotReady", HINT);
    let starting = pod("acorn-redis-0", "redis", waiting("ContainerCreating", ""));
    for quiet in [status(2, Vec::new()), status(100, vec![starting])] {
        check(&quiet, "DependenciesReady", "False", "StoreNotReady", "redis");
        assert!(quiet.conditions.iter().all(|told| !told.message.contains(HINT)));
    }
}

#[test]
fn a_pod_that_runs_and_does_not_become_ready_is_named_with_where_it_says_why() {
    const HINT: &str = "acorn-cart-1 runs and is not ready: `kubectl logs acorn-cart-1` says why";
    let status = |second| {
        let scene = Scene { second, ..with_pods(vec![pod("acorn-cart-1", "cart", running(0))]) };
        scene.status(|objects| unready(objects, "cart"))
    };
    check(&status(100), "ServicesReady", "False", "ServicesNotReady", HINT);
    check_under_way(&status(100));
    assert!(!status(2).conditions.iter().any(|told| told.message.contains(HINT)), "any pod needs a moment");
}

/// A pod of cart, as a template made it.
fn made_from(hash: &str, created: i64, state: ContainerState) -> Pod {
    let mut pod = pod(&format!("acorn-cart-{hash}"), "cart", state);
    pod.metadata.creation_timestamp = Some(at(created));
    pod.labels_mut().insert("pod-template-hash".to_owned(), hash.to_owned());
    pod
}

#[test]
fn what_failed_before_a_correction_does_not_stall_it() {
    let status = |pods: &[Pod], observed: i64, updated: i32| {
        with_pods(pods.to_vec()).status(|objects| {
            unready(objects, "cart");
            deployment(objects, "cart").metadata.generation = Some(8);
            let status = status_of(objects, "cart");
            (status.observed_generation, status.updated_replicas) = (Some(observed), Some(updated));
        })
    };
    let crashes = waiting("CrashLoopBackOff", "");
    let failed = made_from("before", 10, crashes.clone());
    check(&status(std::slice::from_ref(&failed), 8, 1), "Stalled", "True", "CrashLoopBackOff", "cart 0/1");

    check_under_way(&status(std::slice::from_ref(&failed), 7, 1));
    check_under_way(&status(std::slice::from_ref(&failed), 8, 0));
    let starts = made_from("after", 20, waiting("ContainerCreating", ""));
    check_under_way(&status(&[failed.clone(), starts], 8, 1));
    let fails_too = made_from("after", 20, crashes);
    check(&status(&[failed, fails_too], 8, 1), "Stalled", "True", "CrashLoopBackOff", "cart 0/1");
}

#[test]
fn why_new_pods_crash_is_told_also_when_one_of_before_is_made_anew_after_them() {
    let shop = valid(&scene().shop);
    let template = deployment(&mut done(&shop), "cart").spec.take().expect("a spec").template;
    let metadata = template.metadata.expect("metadata");
    let mut fails = made_from("after", 20, waiting("CrashLoopBackOff", ""));
    fails.labels_mut().extend(metadata.labels.expect("labels"));
    fails.metadata.annotations = metadata.annotations;
    fails.spec = template.spec;
    let replaced = made_from("before", 30, waiting("ContainerCreating", ""));
    let status = with_pods(vec![fails, replaced]).status_of(&shop, |objects| unready(objects, "cart"));
    check(&status, "Stalled", "True", "CrashLoopBackOff", "cart 0/1");
}

#[test]
fn a_store_that_is_corrected_is_not_stalled_by_the_pod_that_is_to_go() {
    let status = |made_from: &str, observed: i64| {
        let mut crashing = pod("acorn-redis-0", "redis", waiting("CrashLoopBackOff", ""));
        crashing.labels_mut().insert("controller-revision-hash".to_owned(), made_from.to_owned());
        with_pods(vec![crashing]).status(|objects| {
            let set = objects.stateful_sets.iter_mut().find(|set| set.name_any() == "acorn-redis").expect("a store");
            set.metadata.generation = Some(8);
            let status = set.status.get_or_insert_default();
            (status.observed_generation, status.ready_replicas) = (Some(observed), Some(0));
            status.update_revision = Some("present".to_owned());
        })
    };
    check(&status("present", 8), "DependenciesReady", "False", "CrashLoopBackOff", "redis is not ready");
    for corrected in [status("before", 8), status("present", 7)] {
        check(&corrected, "Progressing", "True", "StoreNotReady", "redis is not ready");
    }
}
