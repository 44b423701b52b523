//! A Shop that goes over from an Ingress to a Gateway, or back: the way in of before stays until somebody serves the other.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{GatewaySpec, ParentReference, Shop};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::kinds::HttpRoute;
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::rollout::{Rollout, plan};
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::ValidShop;

use crate::support::{MINIMAL, attached, done, shop, valid, valid_on};

fn through_a_gateway() -> Shop {
    let mut shop = shop(MINIMAL);
    let gate = ParentReference { name: "gate".to_owned(), ..ParentReference::default() };
    shop.spec.ingress.gateway = Some(GatewaySpec { parent_refs: vec![gate] });
    shop
}

fn through_class(name: &str) -> Shop {
    let mut shop = shop(MINIMAL);
    shop.spec.ingress.class_name = Some(name.to_owned());
    shop
}

fn planned(shop: &ValidShop, live: &Objects<Live>, classes: &[IngressClass]) -> Rollout {
    plan(shop, build(shop), live, &[], classes, Timestamp::UNIX_EPOCH)
}

/// The kind of what stays, if something has to.
fn staying(rollout: &Rollout) -> Option<&str> {
    rollout.former_route.as_deref()
}

#[test]
fn an_ingress_stays_until_every_gateway_has_taken_the_route() {
    let shop = valid(&through_a_gateway());
    let made = |accepted: Option<&str>| {
        let mut live = done::<Live>(&valid(&self::shop(MINIMAL)));
        let mut route: HttpRoute = build(&shop).http_routes.remove(0);
        route.status = accepted.map(|accepted| attached(&route, accepted));
        live.http_routes = vec![route];
        live
    };
    let mut first = made(None);
    first.http_routes.clear();
    for live in [first, made(None), made(Some("False"))] {
        let rollout = planned(&shop, &live, &[]);
        assert_eq!(staying(&rollout), Some("Ingress"));
        assert_eq!(rollout.objects.http_routes.len(), 1, "the route is made beside it");
        assert!(rollout.held.is_empty(), "the policy that lets nobody in has the name of the route");
    }
    assert_eq!(staying(&planned(&shop, &made(Some("True")), &[])), None);
}

#[test]
fn an_ingress_stays_where_the_cluster_knows_no_gateways_and_while_the_shop_sleeps() {
    let live = done::<Live>(&valid(&shop(MINIMAL)));
    let mut shop = through_a_gateway();
    for hibernated in [false, true] {
        shop.spec.lifecycle.hibernated = hibernated;
        let found = Found { gateway_api: false, ..Found::dummy(&shop) };
        let shop = valid_on(&shop, Credentials::dummy(), &found);
        assert_eq!(staying(&planned(&shop, &live, &[])), Some("Ingress"));
    }
}

#[test]
fn a_route_through_a_gateway_stays_until_whoever_serves_the_class_has_heard_of_the_ingress() {
    let mut live = done::<Live>(&valid(&through_a_gateway()));
    let shop = valid(&through_class("squirrel"));
    let mut class = IngressClass::default();
    class.metadata.name = Some("beaver".to_owned());
    let away = planned(&shop, &live, std::slice::from_ref(&class));
    assert_eq!((staying(&away), away.objects.ingresses.len()), (Some("HTTPRoute"), 1));
    class.metadata.name = Some("squirrel".to_owned());
    assert_eq!(staying(&planned(&shop, &live, std::slice::from_ref(&class))), Some("HTTPRoute"), "there is no Ingress");
    live.ingresses = build(&shop).ingresses;
    for (age, stays) in [(0, Some("HTTPRoute")), (60, None)] {
        let made = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(age);
        live.ingresses[0].metadata.creation_timestamp = Some(Time(made));
        assert_eq!(staying(&planned(&shop, &live, std::slice::from_ref(&class))), stays, "{age} s old");
    }
}
