//! What is known of stores of somebody else: what the Jobs that try them say.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use shopkeeper_operator::crd::{Phase, ShopStatus};
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Applied, Objects};
use shopkeeper_operator::stores::Found;

use super::{check, check_that, jobs, set, status};
use crate::support::{EXTERNAL, job_status, shop};

fn is_stalled(status: &ShopStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == "Stalled")
}

fn message(status: &ShopStatus) -> &str {
    let mut conditions = status.conditions.iter();
    let condition = conditions.find(|condition| condition.type_ == "DependenciesReady");
    &condition.expect("DependenciesReady").message
}

/// A pod of the Job that a service has while this is found.
fn pod(found: &Found, service: &str, state: ContainerState) -> Pod {
    let jobs = jobs(&shop(EXTERNAL), found);
    let job = jobs.into_iter().find(|job| job.contains(&format!("-{service}-migrate-"))).expect("its Job");
    let mut pod = Pod::default();
    pod.metadata.name = Some(format!("{job}-x"));
    pod.metadata.labels = Some(names::labels("hazel", &names::migration(service), "1.2.3"));
    pod.metadata.owner_references = Some(vec![OwnerReference { name: job, ..OwnerReference::default() }]);
    let container = ContainerStatus { state: Some(state), ..ContainerStatus::default() };
    pod.status = Some(PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() });
    pod
}

/// The same, ended with a last word.
fn ended(found: &Found, service: &str, message: &str) -> Pod {
    let ended = ContainerStateTerminated {
        exit_code: 1,
        message: Some(message.to_owned()),
        ..ContainerStateTerminated::default()
    };
    pod(found, service, ContainerState { terminated: Some(ended), ..ContainerState::default() })
}

fn fail(applied: &mut Objects<Applied>, services: &[&str]) {
    for service in services {
        let mut jobs = applied.jobs.iter_mut();
        let job = jobs.find(|job| job.name_any().contains(&format!("-{service}-migrate-"))).expect("its Job");
        job.status = Some(job_status("Failed"));
    }
}

fn cart_fails(applied: &mut Objects<Applied>) {
    fail(applied, &["cart"]);
}

#[test]
fn a_store_that_cannot_be_reached_is_named_until_it_can() {
    let shop = shop(EXTERNAL);
    let found = Found::dummy(&shop);
    let refused = "cannot connect to redis: WRONGPASS invalid username-password pair";
    let pods = [ended(&found, "cart", refused)];
    let before = status(&shop, &found, &[], None, |_| ());
    let failed = status(&shop, &found, &pods, Some(&before), cart_fails);
    check(&failed, "StoreUnreachable", "spec.redis.external: cannot connect to redis: WRONGPASS");
    let ready = |status: &ShopStatus| -> Vec<bool> { status.stores.iter().map(|store| store.ready).collect() };
    assert_eq!(ready(&failed), [true, true, false, true], "RabbitMQ was not what cart complained of");
    assert_eq!(failed.phase, Some(Phase::Blocked));

    let again = status(&shop, &found, &[], Some(&failed), cart_fails);
    check(&again, "StoreUnreachable", "WRONGPASS");
    let of_user = [ended(&found, "user", refused)];
    let same = status(&shop, &found, &of_user, Some(&again), |applied| fail(applied, &["user", "cart"]));
    assert_eq!(message(&same), message(&failed), "another Job with the same complaint is no news");
    let mended = status(&shop, &found, &pods, Some(&again), |_| ());
    check(&mended, "StoresReady", "");
    assert_eq!(ready(&mended), [true; 4]);

    let trying = status(&shop, &found, &[], Some(&mended), cart_fails);
    assert_eq!(ready(&trying), [true; 4], "what was ready is so until a Job says otherwise");
}

#[test]
fn a_store_that_was_never_tried_is_not_ready() {
    let shop = shop(EXTERNAL);
    let first = status(&shop, &Found::dummy(&shop), &[], None, |applied| applied.jobs.clear());
    check(&first, "WaitingForJobs", "redis counts as ready when the Jobs of user, cart are complete");
    assert_eq!(first.phase, Some(Phase::Preparing));
}

#[test]
fn a_first_job_that_fails_over_something_else_is_told_and_not_the_stores_that_wait_for_it() {
    let shop = shop(EXTERNAL);
    let found = Found::dummy(&shop);
    let pods = [ended(&found, "order", "the role cannot be created")];
    let failed = status(&shop, &found, &pods, None, |applied| fail(applied, &["order"]));
    check_that("Ready", &failed, "MigrationFailed", "the role cannot be created");
    check_that("Stalled", &failed, "MigrationFailed", "the role cannot be created");
    assert_eq!(failed.phase, Some(Phase::Blocked));
    check(&failed, "WaitingForJobs", "postgres counts as ready when the Jobs of order are complete");
    let ready: Vec<bool> = failed.stores.iter().map(|store| store.ready).collect();
    assert_eq!(ready, [false, true, true, false], "nobody calls a store ready that was not reached");

    let again = status(&shop, &found, &[], Some(&failed), |applied| {
        applied.jobs.retain(|job| !job.name_any().contains("-order-"));
    });
    check_that("Ready", &again, "MigrationFailed", "the role cannot be created");
}

#[test]
fn a_first_job_whose_image_is_not_there_is_told_and_not_the_stores_that_wait_for_it() {
    let shop = shop(EXTERNAL);
    let found = Found::dummy(&shop);
    let (reason, message) = (Some("ImagePullBackOff".to_owned()), Some("not found".to_owned()));
    let waiting = Some(ContainerStateWaiting { reason, message });
    let pods = [pod(&found, "order", ContainerState { waiting, ..ContainerState::default() })];
    let stuck = status(&shop, &found, &pods, None, |applied| {
        for job in &mut applied.jobs {
            job.status = None;
        }
    });
    check_that("Ready", &stuck, "ImagePullBackOff", "cannot be pulled: not found");
    assert!(is_stalled(&stuck));
}

#[test]
fn a_corrected_secret_is_not_called_wrong_for_what_the_one_before_said() {
    let shop = shop(EXTERNAL);
    let (wrong, mut right) = (Found::dummy(&shop), Found::dummy(&shop));
    set(&mut right, "hazel-cache", "password", "right");
    let before = status(&shop, &wrong, &[], None, |_| ());
    let pods = [ended(&wrong, "cart", "cannot connect to redis: WRONGPASS; is it right?")];
    let failed = status(&shop, &wrong, &pods, Some(&before), cart_fails);
    check(&failed, "StoreUnreachable", "WRONGPASS, is it right? (Job hazel-cart-migrate-");
    assert!(is_stalled(&failed));

    // The Jobs of the other Secret have not ended, and a pod of the one before is still there.
    let trying = status(&shop, &right, &pods, Some(&failed), |applied| {
        let tries = |job: &&mut Job| ["-user-", "-cart-"].iter().any(|part| job.name_any().contains(part));
        for job in applied.jobs.iter_mut().filter(tries) {
            job.status = None;
        }
    });
    check(&trying, "WaitingForJobs", "redis counts as ready when the Jobs of user, cart are complete");
    assert!(!is_stalled(&trying));
    assert_eq!(trying.phase, Some(Phase::Preparing));
}

#[test]
fn of_a_store_that_nobody_asks_it_is_said_when_it_was_there_and_that_nothing_that_uses_it_is_ready() {
    let shop = shop(EXTERNAL);
    let found = Found::dummy(&shop);
    let well = status(&shop, &found, &[], None, |_| ());
    check(&well, "StoresReady", "the last Jobs that were complete could reach postgres, mongodb, redis, rabbitmq");
    assert!(!message(&well).contains("takes connections") && !message(&well).contains("no pod"));

    let dark = status(&shop, &found, &[], Some(&well), |applied| {
        let uses_redis = |found: &&mut Deployment| ["hazel-user", "hazel-cart"].contains(&found.name_any().as_str());
        for deployment in applied.deployments.iter_mut().filter(uses_redis) {
            let status = deployment.status.as_mut().expect("a status");
            (status.ready_replicas, status.available_replicas) = (None, None);
        }
    });
    check(&dark, "StoresReady", "no pod of what uses redis (user, cart) is ready");
    assert!(!message(&dark).contains("uses postgres") && !message(&dark).contains("uses rabbitmq"));
    assert!(!dark.holds("Ready"));
}
