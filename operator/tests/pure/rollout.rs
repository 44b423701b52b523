//! What is applied when: stores, then migrations, then services.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{Mtls, Shop};
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollout::{Rollout, is_of_canary, plan};

use crate::support::{MINIMAL, SCALED, done, job_status, shop, valid};

const NOW: i64 = 1_000_000;

/// Plans the minimal Shop on a cluster that did everything, except for what `change` undoes.
fn planned(change: impl Fn(&mut Objects<Live>)) -> Rollout {
    planned_of(&shop(MINIMAL), &[], change)
}

fn planned_of(shop: &Shop, pods: &[Pod], change: impl Fn(&mut Objects<Live>)) -> Rollout {
    let mut live = done(&valid(&self::shop(MINIMAL)));
    change(&mut live);
    let shop = valid(shop);
    plan(&shop, build(&shop), &live, pods, &[], Timestamp::from_second(NOW).expect("a time"))
}

fn check(rollout: &Rollout, jobs: usize, deployments: &[&str]) {
    assert_eq!(rollout.objects.jobs.len(), jobs, "migrations");
    let names: Vec<String> = rollout.objects.deployments.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, deployments);
}

const EVERY_DEPLOYMENT: [&str; 8] = [
    "acorn-user",
    "acorn-product",
    "acorn-cart",
    "acorn-order",
    "acorn-payment",
    "acorn-delivery",
    "acorn-docs",
    "acorn-traces",
];

#[test]
fn on_an_empty_cluster_only_stores_are_made() {
    let rollout = planned(|live| {
        live.stateful_sets.clear();
        live.jobs.clear();
        live.deployments.clear();
    });
    check(&rollout, 0, &["acorn-traces"]);
    assert_eq!(rollout.objects.stateful_sets.len(), 4);
    assert_eq!(rollout.held.len(), 5 + 7);
}

#[test]
fn migrations_wait_until_every_store_is_ready() {
    let rollout = planned(|live| {
        live.stateful_sets[2].status = None;
        live.jobs.clear();
    });
    check(&rollout, 0, &["acorn-traces"]);
}

#[test]
fn services_wait_until_every_migration_is_complete() {
    check(&planned(|live| live.jobs[3].status = Some(JobStatus::default())), 5, &["acorn-traces"]);
}

#[test]
fn a_failed_migration_blocks_the_services_and_prunes_none_of_them() {
    let rollout = planned(|live| live.jobs[0].status = Some(job_status("Failed")));
    check(&rollout, 5, &["acorn-traces"]);
    assert!(rollout.held.contains("acorn-order"), "a held Deployment is not pruned");
}

#[test]
fn a_failed_migration_is_started_anew_after_a_while() {
    let failed_at = |second: i64| {
        planned(|live| {
            let mut status = job_status("Failed");
            let conditions = status.conditions.as_mut().expect("a condition");
            conditions[0].last_transition_time = Some(Time(Timestamp::from_second(second).expect("a time")));
            live.jobs[0].status = Some(status);
        })
    };
    check(&failed_at(NOW - 1), 5, &["acorn-traces"]);
    let due = failed_at(NOW - 100);
    check(&due, 4, &["acorn-traces"]);
    assert!(!due.held.contains(&due.migrations[0]), "what is not held is pruned");
}

#[test]
fn a_store_that_restarts_holds_nothing_back_that_was_migrated() {
    check(&planned(|live| live.stateful_sets[0].status = None), 5, &EVERY_DEPLOYMENT);
}

/// Plans the Shop with canaries, on a cluster that did everything except for what `change` makes of the migration of order's.
fn planned_beside(change: impl Fn(&mut Objects<Live>, usize)) -> Rollout {
    let shop = valid(&shop(SCALED));
    let mut live = done(&shop);
    let of_canary = |job: &Job| is_of_canary(job) && job.name_any().contains("-order-");
    let job = live.jobs.iter().position(of_canary).expect("a migration of the canary");
    change(&mut live, job);
    plan(&shop, build(&shop), &live, &[], &[], Timestamp::from_second(NOW).expect("a time"))
}

#[test]
fn a_canary_waits_for_its_migration_and_nothing_waits_for_a_canary() {
    for status in [JobStatus::default(), job_status("Failed")] {
        let rollout = planned_beside(|live, job| live.jobs[job].status = Some(status.clone()));
        let held: Vec<&str> = rollout.held.iter().map(String::as_str).collect();
        assert_eq!(held, ["alder-order-canary"]);
    }
    assert!(planned_beside(|_, _| ()).held.is_empty());
}

#[test]
fn the_migration_of_a_canary_comes_after_those_of_the_others() {
    let rollout = planned_beside(|live, job| {
        live.jobs.remove(job);
        let other = live.jobs.iter_mut().find(|job| !is_of_canary(*job)).expect("another migration");
        other.status = Some(JobStatus::default());
    });
    assert!(rollout.objects.jobs.iter().all(|job| !is_of_canary(job) || !job.name_any().contains("-order-")));
    assert!(rollout.held.contains("alder-order-canary") && rollout.held.contains("alder-order"));
    assert!(rollout.migrations.iter().all(|name| rollout.objects.jobs.iter().any(|job| job.name_any() == *name)));
}

#[test]
fn a_canary_of_the_image_that_is_there_already_has_its_migration() {
    let mut shop = shop(SCALED);
    shop.spec.version = Some("2.0.0".to_owned());
    let jobs = build(&valid(&shop)).jobs;
    assert_eq!(jobs.iter().filter(|job| job.name_any().contains("-order-")).count(), 1);
    assert!(jobs.iter().filter(|job| is_of_canary(*job)).all(|job| job.name_any().contains("-product-")));
}

#[test]
fn another_image_is_another_migration_and_the_same_image_is_the_same() {
    let names = |version: &str| {
        let mut shop = shop(MINIMAL);
        shop.spec.version = Some(version.to_owned());
        build(&valid(&shop)).jobs.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    };
    assert_eq!(names("1.0.0"), names("1.0.0"));
    assert!(names("1.0.0").iter().all(|name| !names("1.0.1").contains(name)));
}

#[test]
fn a_shop_falls_asleep_services_first() {
    let mut asleep = shop(MINIMAL);
    asleep.spec.lifecycle.hibernated = true;
    let mut draining = Pod::default();
    draining.labels_mut().insert(names::COMPONENT_LABEL.to_owned(), "order".to_owned());
    let falling = planned_of(&asleep, &[draining], |_| ());
    assert!(falling.objects.deployments.iter().all(|wanted| wanted.spec.as_ref().unwrap().replicas == Some(0)));
    assert!(falling.objects.stateful_sets.is_empty() && falling.held.contains("acorn-postgres"));

    let asleep = planned_of(&asleep, &[], |_| ());
    assert!(asleep.objects.stateful_sets.iter().all(|wanted| wanted.spec.as_ref().unwrap().replicas == Some(0)));
    assert_eq!(asleep.objects.stateful_sets.len(), 4);
}

#[test]
fn a_migration_that_is_not_complete_keeps_no_shop_awake() {
    let mut asleep = shop(MINIMAL);
    asleep.spec.lifecycle.hibernated = true;
    let falling = planned_of(&asleep, &[], |live| live.jobs[0].status = Some(JobStatus::default()));
    assert_eq!(falling.objects.jobs.len(), 4, "what is complete is not run again");
    assert!(falling.held.iter().all(|name| !name.contains("-migrate-")), "what is not held is pruned");
}

#[test]
fn a_secret_that_is_not_wanted_any_more_stays_until_nothing_reads_it() {
    const KEYS: &str = "acorn-order-identity";
    let mut plain = shop(MINIMAL);
    plain.spec.mesh.mtls = Mtls::Off;
    let turned = |live: &mut Objects<Live>| {
        let now: Objects<Live> = done(&valid(&plain));
        (live.deployments, live.stateful_sets, live.jobs) = (now.deployments, now.stateful_sets, now.jobs);
    };
    let of_before = done::<Live>(&valid(&shop(MINIMAL))).deployments.remove(3);
    let spec = of_before.spec.and_then(|spec| spec.template.spec);
    let mut pod = Pod { spec, ..Pod::default() };
    let held = |pods: &[Pod], change: &dyn Fn(&mut Objects<Live>)| planned_of(&plain, pods, change).held.contains(KEYS);
    assert!(held(&[], &|_| {}), "pods that read it are still made");
    assert!(held(std::slice::from_ref(&pod), &turned), "one of them is left");
    let unfinished = |live: &mut Objects<Live>| {
        turned(live);
        live.deployments[0].status = None;
    };
    assert!(held(&[], &unfinished), "the rollout may have to make one again");
    pod.status.get_or_insert_default().phase = Some("Succeeded".to_owned());
    assert!(!held(&[pod], &turned));
}

#[test]
fn a_secret_that_was_made_for_the_shop_and_is_named_in_its_spec_stays() {
    let held = |name: &str| {
        let mut shop = shop(MINIMAL);
        shop.spec.users.admin_secret_name = Some(name.to_owned());
        let now: Objects<Live> = done(&valid(&shop));
        let rollout = planned_of(&shop, &[], |live| {
            live.deployments.clone_from(&now.deployments);
            live.jobs.clone_from(&now.jobs);
        });
        rollout.held.contains("acorn-admin")
    };
    assert!(held("acorn-admin"));
    assert!(!held("squirrel"));
}
