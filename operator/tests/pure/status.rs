//! What the status says, from what is on the cluster.

mod certificates;
mod events;
mod kstatus;
mod lifecycle;
mod pods;
mod returned;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus};
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodStatus,
};
use k8s_openapi::api::networking::v1::{
    IngressClass, IngressLoadBalancerIngress, IngressLoadBalancerStatus, IngressStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::canary::Canaries;
use shopkeeper_operator::crd::{CanaryPhase, CanaryStatus, Phase, RolledBack, Shop, ShopStatus};
use shopkeeper_operator::identities::Worry;
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Applied, Objects};
use shopkeeper_operator::rotation::Wish;
use shopkeeper_operator::status::{Facts, compute};
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::ValidShop;

use self::events::{NONE, events};
use self::pods::unready;
use crate::support::{MINIMAL, OPERATED, SCALED, attached, certified, done, job_status, shop, valid, valid_on};

struct Scene {
    shop: Shop,
    pods: Vec<Pod>,
    classes: Vec<IngressClass>,
    default_class: Option<String>,
    previous: Option<ShopStatus>,
    returned: Option<RolledBack>,
    canaries: Canaries,
    wish: Wish,
    given: Option<Vec<Worry>>,
    second: i64,
}

fn scene() -> Scene {
    Scene {
        shop: shop(MINIMAL),
        pods: Vec::new(),
        classes: vec![IngressClass { metadata: named("squirrel"), ..IngressClass::default() }],
        default_class: Some("squirrel".to_owned()),
        previous: None,
        returned: None,
        canaries: Canaries::new(),
        wish: Wish::default(),
        given: None,
        second: 1,
    }
}

impl Scene {
    /// The status on a cluster that did everything, except for what `change` undoes.
    fn status(&self, change: impl Fn(&mut Objects<Applied>)) -> ShopStatus {
        let found = Found { default_class: self.default_class.clone(), ..Found::dummy(&self.shop) };
        self.status_of(&valid_on(&self.shop, certified(&self.shop), &found), change)
    }

    fn status_of(&self, shop: &ValidShop, change: impl Fn(&mut Objects<Applied>)) -> ShopStatus {
        let mut applied = done(shop);
        let migrations: Vec<String> = applied.jobs.iter().map(ResourceExt::name_any).collect();
        change(&mut applied);
        compute(&Facts {
            shop,
            generation: Some(7),
            applied: &applied,
            migrations: &migrations,
            former_route: None,
            canaries: &self.canaries,
            returned: self.returned.as_ref(),
            wish: &self.wish,
            given: self.given.as_deref(),
            pods: &self.pods,
            ingress_classes: &self.classes,
            previous: self.previous.as_ref(),
            now: Timestamp::from_second(self.second).expect("a time"),
        })
    }
}

#[test]
fn new_credentials_that_are_asked_for_are_not_called_settled_before_they_begin() {
    let asked = Wish { asked: Some("now".to_owned()), max_age: None };
    let status = Scene { wish: asked, ..scene() }.status(|_| {});
    check(&status, "CredentialsSettled", "False", "Requested", "generation 1 is asked for");
    check(&status, "Ready", "True", "AsWanted", "");
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn pod(name: &str, component: &str, state: ContainerState) -> Pod {
    let mut metadata = named(name);
    metadata.labels = Some(names::labels("acorn", component, "1.2.3"));
    let container = ContainerStatus {
        image: "shopkeeper/order:9.9.9".to_owned(),
        state: Some(state),
        ..ContainerStatus::default()
    };
    let status = PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() };
    Pod { metadata, status: Some(status), ..Pod::default() }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message: Some(message.to_owned()) };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn ended(code: i32, message: &str) -> ContainerState {
    let ended = ContainerStateTerminated {
        exit_code: code,
        reason: Some("Error".to_owned()),
        message: Some(message.to_owned()),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

#[track_caller]
fn check(status: &ShopStatus, type_: &str, value: &str, reason: &str, in_message: &str) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).expect(type_);
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), (value, reason), "{}", condition.message);
    assert!(condition.message.contains(in_message), "`{in_message}` is not in `{}`", condition.message);
}

#[test]
fn a_shop_whose_parts_are_all_ready_is_ready() {
    let status = scene().status(|_| {});
    check(&status, "Ready", "True", "AsWanted", "");
    check(&status, "Progressing", "False", "AsWanted", "");
    assert_eq!(status.phase, Some(Phase::Ready));
    assert_eq!(status.services_ready.as_deref(), Some("7/7"));
    assert_eq!(status.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(status.observed_generation, Some(7));
}

#[test]
fn a_store_that_is_not_ready_keeps_the_shop_from_being_ready() {
    let status = scene().status(|objects| objects.stateful_sets[3].status = None);
    check(&status, "Ready", "False", "StoreNotReady", "rabbitmq");
    check(&status, "Progressing", "True", "StoreNotReady", "rabbitmq");
    check(&status, "DependenciesReady", "False", "StoreNotReady", "rabbitmq");
    assert_eq!(status.phase, Some(Phase::Preparing));
}

#[test]
fn a_migration_that_cannot_start_says_why_and_blocks() {
    let mut scene = scene();
    let stuck = |objects: &mut Objects<Applied>| objects.jobs[2].status = Some(JobStatus::default());
    let name = done::<Applied>(&valid(&scene.shop)).jobs[2].name_any();
    let back_off = "Back-off pulling image \"shopkeeper/order:9.9.9\": ErrImagePull: failed to resolve: not found";
    scene.pods = vec![pod(&format!("{name}-x"), "order-migrate", waiting("ImagePullBackOff", back_off))];
    let status = scene.status(stuck);
    check(&status, "Migrated", "False", "ImagePullBackOff", "shopkeeper/order:9.9.9 cannot be pulled: not found");
    check(&status, "Ready", "False", "ImagePullBackOff", "");
    check(&status, "Progressing", "False", "ImagePullBackOff", "");
    assert_eq!(status.phase, Some(Phase::Blocked));

    scene.pods =
        vec![pod(&format!("{name}-x"), "order-migrate", waiting("ErrImagePull", "failed to resolve: not found"))];
    assert_eq!(scene.status(stuck), status, "the kubelet's alternation is not a change");
}

#[test]
fn a_failed_migration_is_reported_with_the_end_of_its_log() {
    let mut scene = scene();
    let name = done::<Applied>(&valid(&scene.shop)).jobs[1].name_any();
    scene.pods = vec![pod(&format!("{name}-x"), "product-migrate", ended(1, "column price is missing"))];
    let status = scene.status(|objects| objects.jobs[1].status = Some(job_status("Failed")));
    check(&status, "Migrated", "False", "MigrationFailed", "column price is missing");
    check(&status, "Migrated", "False", "MigrationFailed", "at once if you delete the Job");
    check(&status, "Ready", "False", "MigrationFailed", "");
}

#[test]
fn a_service_that_crashes_is_reported_with_its_last_words() {
    let mut scene = scene();
    let mut crashing = pod("acorn-cart-1", "cart", waiting("CrashLoopBackOff", "back-off 10s"));
    let containers =
        crashing.status.as_mut().and_then(|status| status.container_statuses.as_mut()).expect("containers");
    containers[0].last_state = Some(ended(101, "no route to the catalog"));
    scene.pods = vec![crashing];
    let status = scene.status(|objects| unready(objects, "cart"));
    check(&status, "ServicesReady", "False", "CrashLoopBackOff", "no route to the catalog");
    assert_eq!(status.services_ready.as_deref(), Some("6/7"));
}

#[test]
fn a_route_to_a_class_that_nobody_serves_is_not_ready() {
    let mut scene = scene();
    scene.shop.spec.ingress.class_name = Some("beaver".to_owned());
    check(&scene.status(|_| {}), "RouteReady", "False", "NoSuchIngressClass", "there is: squirrel");
    scene.shop.spec.ingress.class_name = None;
    scene.default_class = None;
    let status = scene.status(|_| {});
    check(&status, "RouteReady", "False", "NoDefaultIngressClass", "spec.ingress.className");
    check(&status, "Ready", "False", "NoDefaultIngressClass", "");
}

#[test]
fn a_route_through_a_gateway_is_ready_when_the_gateway_has_taken_it() {
    let scene = Scene { shop: shop(OPERATED), ..scene() };
    check(&scene.status(|_| ()), "RouteReady", "True", "RouteApplied", "edge/gate, listener web");

    let unknown = scene.status(|objects| objects.http_routes[0].status = None);
    check(&unknown, "RouteReady", "False", "GatewayNotReady", "is there such a Gateway?");
    assert_eq!(unknown.phase, Some(Phase::RollingOut));
    let refused = scene.status(|objects| {
        let route = &mut objects.http_routes[0];
        route.status = Some(attached(route, "False"));
    });
    check(&refused, "RouteReady", "False", "Test", "takes no routes from here");
    check(&refused, "Ready", "False", "Test", "edge/gate");
    let changed = scene.status(|objects| objects.http_routes[0].metadata.generation = Some(2));
    check(&changed, "RouteReady", "False", "GatewayNotReady", "");
}

#[test]
fn a_route_through_a_gateway_needs_a_cluster_that_knows_gateways() {
    let scene = Scene { shop: shop(OPERATED), ..scene() };
    let found = Found { gateway_api: false, ..Found::dummy(&scene.shop) };
    let shop = valid_on(&scene.shop, certified(&scene.shop), &found);
    let objects = build(&shop);
    assert!(objects.http_routes.is_empty() && objects.ingresses.is_empty());
    let status = scene.status_of(&shop, |_| ());
    check(&status, "RouteReady", "False", "GatewayAPIMissing", "remove spec.ingress.gateway");
    assert_eq!(status.phase, Some(Phase::Blocked));
}

#[test]
fn the_address_of_a_shop_without_a_host_is_that_of_its_ingress_controller() {
    let point =
        IngressLoadBalancerIngress { ip: Some("192.0.2.7".to_owned()), ..IngressLoadBalancerIngress::default() };
    let status = scene().status(|objects| {
        let load_balancer = Some(IngressLoadBalancerStatus { ingress: Some(vec![point.clone()]) });
        objects.ingresses[0].status = Some(IngressStatus { load_balancer });
    });
    assert_eq!(status.url.as_deref(), Some("http://192.0.2.7"));
    assert_eq!(scene().status(|_| {}).url.as_deref(), Some("http://localhost"));
}

#[test]
fn nothing_new_is_the_same_status_at_another_time() {
    let mut scene = scene();
    let first = scene.status(|_| {});
    scene.previous = Some(first.clone());
    scene.second = 1000;
    assert_eq!(scene.status(|_| {}), first);
}

#[test]
fn during_a_rollout_the_version_is_the_previous_one() {
    let mut scene = scene();
    scene.previous = Some(scene.status(|_| {}));
    scene.shop.spec.version = Some("9.9.9".to_owned());
    let status = scene.status(|objects| objects.deployments[0].status = None);
    assert_eq!(status.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(status.services[0].version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(status.services[1].version.as_deref(), Some("9.9.9"));
    assert_eq!(status.phase, Some(Phase::RollingOut));
}

#[test]
fn a_migration_that_failed_stays_so_while_it_is_tried_again() {
    let mut scene = scene();
    let failed = scene.status(|objects| objects.jobs[1].status = Some(job_status("Failed")));
    scene.previous = Some(failed.clone());
    let again = scene.status(|objects| objects.jobs[1].status = None);
    check(&again, "Migrated", "False", "MigrationFailed", "is tried again soon");
    assert_eq!(again.phase, Some(Phase::Blocked));
    assert_eq!(events(Some(&failed), &again), NONE);
    let other = scene.status(|objects| objects.jobs[2].status = None);
    check(&other, "Migrated", "False", "MigrationsRunning", "running");
}

#[test]
fn an_autoscaler_without_metrics_is_reported_and_takes_nothing_away() {
    let scene = Scene { shop: shop(SCALED), ..scene() };
    let told = |active: &str, reason: &str| {
        let condition = HorizontalPodAutoscalerCondition {
            type_: "ScalingActive".to_owned(),
            status: active.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some("no metrics known".to_owned()),
            ..HorizontalPodAutoscalerCondition::default()
        };
        scene.status(|objects| {
            for autoscaler in &mut objects.horizontal_pod_autoscalers {
                let conditions = Some(vec![condition.clone()]);
                let status = HorizontalPodAutoscalerStatus { conditions, ..HorizontalPodAutoscalerStatus::default() };
                autoscaler.status = Some(status);
            }
        })
    };
    let blind = told("False", "FailedGetResourceMetric");
    check(&blind, "AutoscalingActive", "False", "FailedGetResourceMetric", "alder-cart: no metrics known");
    check(&blind, "Ready", "True", "AsWanted", "");
    check(&told("True", "ValidMetricFound"), "AutoscalingActive", "True", "Scaling", "");
    assert!(self::scene().status(|_| ()).conditions.iter().all(|condition| condition.type_ != "AutoscalingActive"));
}

#[test]
fn a_canary_is_told_with_its_service_and_takes_nothing_away_from_being_ready() {
    let mut scene = scene();
    let canary = |phase, message: &str| CanaryStatus {
        attempt: "a1".to_owned(),
        phase,
        since: Time(Timestamp::UNIX_EPOCH),
        image: "shopkeeper/order:2.0.0".to_owned(),
        version: "2.0.0".to_owned(),
        weight: 10,
        requests: None,
        success_rate: None,
        latency_p99: None,
        message: message.to_owned(),
    };
    assert!(scene.status(|_| ()).conditions.iter().all(|condition| condition.type_ != "CanaryPromoted"));
    scene.canaries.insert("order", canary(CanaryPhase::Promoted, "as good as it gets"));
    check(&scene.status(|_| ()), "CanaryPromoted", "True", "Promoted", "order 2.0.0 at 10 %: as good as it gets");
    scene.canaries.insert("product", canary(CanaryPhase::RolledBack, "too slow"));
    let status = scene.status(|_| ());
    check(&status, "CanaryPromoted", "False", "RolledBack", "product 2.0.0 at 10 %: too slow; order");
    check(&status, "Ready", "True", "AsWanted", "");
    let order = status.services.iter().find(|service| service.name == "order").expect("order");
    assert_eq!(order.canary.as_ref(), scene.canaries.get("order"));
}

#[test]
fn what_was_ready_is_recorded_and_stays_while_a_rollout_fails() {
    let mut scene = scene();
    let ready = scene.status(|_| ());
    let images = &ready.last_ready.as_ref().expect("a record").images;
    assert_eq!(images["order"], format!("shopkeeper/order:{}", env!("CARGO_PKG_VERSION")));

    scene.previous = Some(ready.clone());
    scene.shop.spec.version = Some("9.9.9".to_owned());
    let late = scene.status(|objects| {
        let conditions = Some(vec![DeploymentCondition {
            type_: "Progressing".to_owned(),
            status: "False".to_owned(),
            reason: Some("ProgressDeadlineExceeded".to_owned()),
            ..DeploymentCondition::default()
        }]);
        objects.deployments[3].status = Some(DeploymentStatus { conditions, ..DeploymentStatus::default() });
    });
    check(&late, "ServicesReady", "False", "ProgressDeadlineExceeded", "order 0/1");
    assert_eq!((late.phase, &late.last_ready), (Some(Phase::Blocked), &ready.last_ready));
}
