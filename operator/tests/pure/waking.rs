//! What waits for a migration while the Shop sleeps, and what runs when it wakes.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{Shop, ShopStatus};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollback::release;
use shopkeeper_operator::rollout::{Rollout, plan};
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::ValidShop;

use crate::plan::{planned_on, told};
use crate::support::{EXTERNAL, MINIMAL, SCALED, done, running, shop, valid, valid_on};

/// A Shop of which 1.0.0 was ready, and which is to have 2.0.0.
fn upgraded(fixture: &str, hibernated: bool) -> Shop {
    let mut shop = of_before(fixture);
    shop.status = Some(ShopStatus { last_ready: Some(release(&valid(&shop))), ..ShopStatus::default() });
    shop.spec.version = Some("2.0.0".to_owned());
    shop.spec.lifecycle.hibernated = hibernated;
    shop
}

fn of_before(fixture: &str) -> Shop {
    let mut shop = shop(fixture);
    shop.spec.version = Some("1.0.0".to_owned());
    shop
}

/// Plans it where the first version runs and no migration of the second is complete, but for what `change` does.
fn planned(fixture: &str, hibernated: bool, change: impl Fn(&mut Objects<Live>)) -> Rollout {
    let mut live = running(&valid(&of_before(fixture)));
    change(&mut live);
    planned_as(&valid(&upgraded(fixture, hibernated)), &live)
}

fn planned_as(shop: &ValidShop, live: &Objects<Live>) -> Rollout {
    plan(shop, build(shop), live, &[], &[], Timestamp::UNIX_EPOCH)
}

/// Takes the pods of all services, as a Shop does that sleeps.
fn sleep(live: &mut Objects<Live>) {
    live.horizontal_pod_autoscalers.clear();
    for deployment in &mut live.deployments {
        deployment.spec.as_mut().expect("a spec").replicas = Some(0);
    }
}

/// Gives a Deployment an image that was never ready.
fn stray(live: &mut Objects<Live>, name: &str) {
    let found = live.deployments.iter_mut().find(|found| found.name_any() == name).expect("a Deployment");
    let template = found.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()).expect("a template");
    template.containers[0].image = Some("shopkeeper/order:1.9.9".to_owned());
}

fn numbers(rollout: &Rollout) -> Vec<(&str, i32)> {
    rollout.handovers.iter().map(|(name, number)| (&**name, *number)).collect()
}

fn applied(rollout: &Rollout) -> Vec<String> {
    rollout.objects.deployments.iter().map(ResourceExt::name_any).collect()
}

fn image(deployment: &Deployment) -> &str {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).expect("a spec");
    spec.containers[0].image.as_deref().expect("an image")
}

/// The Deployments of the services, each with this number.
fn all(number: i32) -> Vec<(&'static str, i32)> {
    let names =
        ["acorn-cart", "acorn-delivery", "acorn-docs", "acorn-order", "acorn-payment", "acorn-product", "acorn-user"];
    names.into_iter().map(|name| (name, number)).collect()
}

#[test]
fn a_shop_that_falls_asleep_keeps_the_templates_of_what_was_migrated_last() {
    let falling = planned(MINIMAL, true, |_| ());
    assert_eq!((applied(&falling), numbers(&falling)), (vec!["acorn-traces".to_owned()], all(0)));
    assert!(falling.held.contains("acorn-order"), "what is held is not pruned");
    assert!(planned(MINIMAL, true, sleep).handovers.is_empty(), "once is enough");
}

#[test]
fn a_shop_that_wakes_gives_the_pods_back_when_its_stores_are_ready() {
    let waking = planned(MINIMAL, false, sleep);
    assert_eq!((applied(&waking), numbers(&waking)), (vec!["acorn-traces".to_owned()], all(1)));
    let early = planned(MINIMAL, false, |live| {
        sleep(live);
        live.stateful_sets[0].status = None;
    });
    assert!(early.handovers.is_empty());
    assert!(planned(MINIMAL, false, |_| ()).handovers.is_empty(), "what serves is left alone");
}

#[test]
fn what_is_gone_or_has_another_image_than_the_one_that_was_ready_is_made_with_that_one() {
    let gone = |live: &mut Objects<Live>| live.deployments.retain(|found| found.name_any() != "acorn-order");
    let other = |live: &mut Objects<Live>| {
        sleep(live);
        stray(live, "acorn-order");
    };
    for rollout in [planned(MINIMAL, false, gone), planned(MINIMAL, false, other)] {
        let made = rollout.objects.deployments.iter().find(|found| found.name_any() == "acorn-order").expect("order");
        assert_eq!((image(made), made.spec.as_ref().expect("a spec").replicas), ("shopkeeper/order:1.0.0", Some(1)));
        assert!(rollout.held.contains("acorn-order"), "the wanted one waits");
        assert!(!rollout.handovers.contains_key("acorn-order"));
    }
}

#[test]
fn what_was_never_ready_is_not_made_before_its_turn() {
    let mut never = upgraded(MINIMAL, false);
    never.status = None;
    let mut live: Objects<Live> = done(&valid(&of_before(MINIMAL)));
    live.deployments.clear();
    assert_eq!(applied(&planned_as(&valid(&never), &live)), ["acorn-traces"]);
}

#[test]
fn a_shop_that_does_not_know_its_stores_sleeps_and_wakes_with_the_pods_that_it_had() {
    let mut shop = of_before(EXTERNAL);
    let known = valid_on(&shop, Credentials::dummy(), &Found::dummy(&shop));
    shop.status = Some(ShopStatus { last_ready: Some(release(&known)), ..ShopStatus::default() });
    let mut live: Objects<Live> = running(&known);
    live.jobs[0].status = Some(JobStatus::default());
    let planned =
        |shop: &Shop, live: &Objects<Live>| planned_as(&valid_on(shop, Credentials::dummy(), &Found::default()), live);
    shop.spec.lifecycle.hibernated = true;
    let falling = planned(&shop, &live);
    assert_eq!(falling.handovers.len(), 7);
    assert!(falling.handovers.values().all(|number| *number == 0));
    assert!(falling.held.contains("hazel-store-authorities"), "what is known of stores stays");
    let kept = |job: &Job| falling.held.contains(&job.name_any());
    assert!(!kept(&live.jobs[0]) && live.jobs[1..].iter().all(kept), "only what is complete stays");

    shop.spec.lifecycle.hibernated = false;
    sleep(&mut live);
    let waking = planned(&shop, &live);
    assert_eq!(waking.handovers.len(), 7);
    assert!(waking.handovers.values().all(|number| *number >= 1));
}

#[test]
fn an_autoscaler_sleeps_and_comes_back_with_the_pods_of_before() {
    let falling = planned(SCALED, true, |_| ());
    assert!(falling.objects.horizontal_pod_autoscalers.is_empty());
    assert_eq!(falling.handovers.get("alder-order"), Some(&0));
    let waking = planned(SCALED, false, sleep);
    assert_eq!(waking.handovers.get("alder-order"), Some(&2));
    let names: Vec<String> = waking.objects.horizontal_pod_autoscalers.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["alder-cart", "alder-order"]);
}

#[test]
fn what_is_autoscaled_gets_no_pods_before_it_has_the_image_that_was_ready() {
    let waking = planned(SCALED, false, |live| {
        sleep(live);
        stray(live, "alder-order");
    });
    let made = waking.objects.deployments.iter().find(|found| found.name_any() == "alder-order").expect("order");
    assert_eq!(image(made), "shopkeeper/order:1.0.0");
    assert_eq!((waking.handovers.get("alder-order"), waking.handovers.get("alder-cart")), (None, Some(&1)));
}

#[test]
fn a_canary_that_waits_sleeps_and_wakes_with_the_pods_that_it_had() {
    const CANARY: &str = "alder-order-canary";
    let number = |hibernated: bool, change: &dyn Fn(&mut Objects<Live>)| {
        let rollout = planned(SCALED, hibernated, change);
        assert!(rollout.held.contains(CANARY), "it waits");
        rollout.handovers.get(CANARY).copied()
    };
    let other = |live: &mut Objects<Live>| {
        sleep(live);
        stray(live, CANARY);
    };
    assert_eq!(number(true, &|_| ()), Some(0));
    assert_eq!(number(false, &sleep), Some(2));
    assert_eq!(number(false, &|_| ()), None, "what serves is left alone");
    assert_eq!(number(false, &other), None, "it is not the one that is wanted");
}

#[test]
fn a_plan_tells_what_becomes_of_the_pods_now_and_of_their_template_later() {
    let lines = |hibernated: bool, change: &dyn Fn(&mut Objects<Live>)| {
        let mut live = running(&valid(&of_before(MINIMAL)));
        change(&mut live);
        let edited = upgraded(MINIMAL, hibernated);
        let edit = |shop: &mut Shop| shop.clone_from(&edited);
        let mut lines = told(&planned_on(Some(&of_before(MINIMAL)), edit, live));
        lines.retain(|line| line.starts_with("Deployment acorn-order "));
        lines.retain(|line| line.contains(".image: ") || line.contains("spec.replicas: "));
        lines
    };
    let image = "Deployment acorn-order later spec.template.spec.containers[order].image: \"shopkeeper/order:1.0.0\" -> \
                 \"shopkeeper/order:2.0.0\"";
    assert_eq!(lines(true, &|_| ()), ["Deployment acorn-order spec.replicas: 1 -> 0", image]);
    assert_eq!(lines(false, &sleep), ["Deployment acorn-order spec.replicas: 0 -> 1", image]);
}
