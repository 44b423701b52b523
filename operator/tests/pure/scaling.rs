//! Who decides the number of pods, and how the number passes from one to the other.

use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollout::{Rollout, plan};

use crate::support::{SCALED, done, shop, valid};

/// Plans the scaled Shop on a cluster that did everything, except for what `change` undoes.
fn planned(shop: &Shop, change: impl Fn(&mut Objects<Live>)) -> Rollout {
    let mut live = done(&valid(&self::shop(SCALED)));
    change(&mut live);
    let shop = valid(shop);
    plan(&shop, build(&shop), &live, &[], &[], jiff::Timestamp::UNIX_EPOCH)
}

fn run(live: &mut Objects<Live>, name: &str, replicas: i32) {
    let found = live.deployments.iter_mut().find(|found| found.name_any() == name).expect("a Deployment");
    found.spec.as_mut().expect("a spec").replicas = Some(replicas);
}

fn check(rollout: &Rollout, expected: &[(&str, i32)]) {
    let handovers: Vec<(&str, i32)> = rollout.handovers.iter().map(|(name, number)| (&**name, *number)).collect();
    assert_eq!(handovers, expected);
}

#[test]
fn switching_autoscaling_on_keeps_the_pods_there_are() {
    let rollout = planned(&shop(SCALED), |live| {
        live.horizontal_pod_autoscalers.clear();
        run(live, "alder-cart", 3);
        run(live, "alder-order", 5);
    });
    check(&rollout, &[("alder-cart", 3), ("alder-order", 5)]);
    let applied = |name: &str| rollout.objects.deployments.iter().find(|found| found.name_any() == name);
    let replicas = |name: &str| applied(name).and_then(|found| found.spec.as_ref()).and_then(|spec| spec.replicas);
    assert_eq!(replicas("alder-order"), None, "what passed on is left out");
    assert_eq!(replicas("alder-user"), Some(2));
}

#[test]
fn an_autoscaler_at_work_is_not_disturbed() {
    check(&planned(&shop(SCALED), |_| ()), &[]);
}

#[test]
fn fewer_pods_than_the_smallest_number_are_started_anew() {
    check(&planned(&shop(SCALED), |live| run(live, "alder-order", 0)), &[("alder-order", 2)]);
    let asleep = |live: &mut Objects<Live>| {
        live.horizontal_pod_autoscalers.clear();
        run(live, "alder-order", 0);
        run(live, "alder-cart", 0);
    };
    check(&planned(&shop(SCALED), asleep), &[("alder-cart", 1), ("alder-order", 2)]);
}

#[test]
fn a_sleeping_shop_has_no_autoscaler_and_no_pods() {
    let mut asleep = shop(SCALED);
    asleep.spec.lifecycle.hibernated = true;
    let rollout = planned(&asleep, |_| ());
    check(&rollout, &[]);
    assert!(rollout.objects.horizontal_pod_autoscalers.is_empty() && rollout.held.is_empty());
    assert!(rollout.objects.deployments.iter().all(|wanted| wanted.spec.as_ref().unwrap().replicas == Some(0)));
}

#[test]
fn an_autoscaler_comes_with_its_deployment_and_not_before() {
    let rollout = planned(&shop(SCALED), |live| {
        live.horizontal_pod_autoscalers.clear();
        live.jobs.clear();
    });
    check(&rollout, &[]);
    assert!(rollout.objects.horizontal_pod_autoscalers.is_empty());
}
