//! When a store has no pod for a moment, because the one that it has stands in the way of the next.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::{Value, json};
use shopkeeper_operator::build::build;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollout::{is_owed_its_replica, plan};

use crate::support::{MINIMAL, done, shop, valid};

const REDIS: &str = "acorn-redis";
/// Revisions of its template.
const BEFORE: &str = "acorn-redis-1";
const PRESENT: &str = "acorn-redis-2";

/// A pod of Redis that waits for something.
fn waiting(revision: &str, reason: &str) -> Pod {
    let container = json!({
        "name": "redis", "image": "redis", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
    });
    pod(revision, &json!({"phase": "Pending", "containerStatuses": [container]}))
}

fn pod(revision: &str, status: &Value) -> Pod {
    let labels = json!({"app.kubernetes.io/component": "redis", "controller-revision-hash": revision});
    let pod = json!({"metadata": {"name": "acorn-redis-0", "labels": labels}, "status": status});
    serde_json::from_value(pod).expect("a pod")
}

/// The stores that are to have no pod, on a cluster that knows all of the Shop except for what `change` makes of Redis.
fn without_a_pod(pods: &[Pod], change: impl Fn(&mut StatefulSet)) -> Vec<String> {
    stopped(pods, change).iter().map(ResourceExt::name_any).collect()
}

fn stopped(pods: &[Pod], change: impl Fn(&mut StatefulSet)) -> Vec<StatefulSet> {
    let shop = valid(&shop(MINIMAL));
    let mut live: Objects<Live> = done(&shop);
    let redis = live.stateful_sets.iter_mut().find(|set| set.name_any() == REDIS).expect("a store");
    redis.metadata.generation = Some(2);
    let status = redis.status.get_or_insert_default();
    status.observed_generation = Some(2);
    status.update_revision = Some(PRESENT.to_owned());
    change(redis);
    let mut sets = plan(&shop, build(&shop), &live, pods, &[], Timestamp::UNIX_EPOCH).objects.stateful_sets;
    sets.retain(|set| set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0)));
    sets
}

#[test]
fn a_pod_that_cannot_work_makes_room_for_one_of_the_present_template() {
    for reason in ["ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"] {
        assert_eq!(without_a_pod(&[waiting(BEFORE, reason)], |_| ()), [REDIS], "{reason}");
    }
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"});
    let unscheduled = pod(BEFORE, &json!({"phase": "Pending", "conditions": [unscheduled]}));
    assert_eq!(without_a_pod(&[unscheduled], |_| ()), [REDIS]);
}

#[test]
fn a_pod_that_the_next_one_would_be_like_or_that_may_still_become_ready_stays() {
    assert!(without_a_pod(&[waiting(PRESENT, "ImagePullBackOff")], |_| ()).is_empty());
    assert!(without_a_pod(&[waiting(BEFORE, "ContainerCreating")], |_| ()).is_empty());
    assert!(without_a_pod(&[pod(BEFORE, &json!({"phase": "Running"}))], |_| ()).is_empty());
}

#[test]
fn a_pod_stays_until_its_successor_is_known() {
    let stuck = [waiting(BEFORE, "ImagePullBackOff")];
    let unseen = |set: &mut StatefulSet| set.metadata.generation = Some(3);
    assert!(without_a_pod(&stuck, unseen).is_empty());
    let of_another = |set: &mut StatefulSet| {
        let template = &mut set.spec.as_mut().expect("a spec").template;
        template.spec.as_mut().expect("a pod").containers[0].image = Some("elsewhere.test/redis".to_owned());
    };
    assert!(without_a_pod(&stuck, of_another).is_empty());
}

#[test]
fn a_store_whose_pod_is_to_go_gets_none_until_it_is_on_its_way() {
    let taken = |set: &mut StatefulSet| {
        set.spec.as_mut().expect("a spec").replicas = Some(0);
        set.metadata.generation = Some(3);
    };
    let mut old = waiting(BEFORE, "ContainerCreating");
    assert_eq!(without_a_pod(std::slice::from_ref(&old), taken), [REDIS]);
    old.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert!(without_a_pod(&[old], taken).is_empty());
    assert!(without_a_pod(&[], taken).is_empty());
}

#[test]
fn a_store_whose_pod_is_on_its_way_is_owed_its_replica_and_one_that_somebody_stopped_is_not() {
    let old = waiting(BEFORE, "ImagePullBackOff");
    let mut redis = stopped(std::slice::from_ref(&old), |_| ()).pop().expect("a store that makes room");
    redis.status.get_or_insert_default().update_revision = Some(PRESENT.to_owned());
    assert!(!is_owed_its_replica(&redis, std::slice::from_ref(&old)), "given back now, it would keep the pod");
    assert!(is_owed_its_replica(&redis, &[]));
    let mut going = old;
    going.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert!(is_owed_its_replica(&redis, &[going]));
    redis.annotations_mut().clear();
    assert!(!is_owed_its_replica(&redis, &[]));
}
