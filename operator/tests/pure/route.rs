//! A Shop that goes over from an Ingress to a Gateway, or back: the way in of before stays until somebody serves the other, and is
//! nobody else's as long.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::canary::Canaries;
use shopkeeper_operator::crd::{Entrance, GatewaySpec, ParentReference, Shop, ShopSpec, ShopStatus, TlsSpec};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::kinds::HttpRoute;
use shopkeeper_operator::names::APPLIED_ANNOTATION;
use shopkeeper_operator::objects::{Applied, Live, Objects};
use shopkeeper_operator::rollout::{Rollout, plan};
use shopkeeper_operator::rotation::Wish;
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::status::{Facts, compute};
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::{ValidShop, validate};

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

fn class(name: &str) -> IngressClass {
    let mut class = IngressClass::default();
    class.metadata.name = Some(name.to_owned());
    class
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
    let away = planned(&shop, &live, &[class("beaver")]);
    assert_eq!((staying(&away), away.objects.ingresses.len()), (Some("HTTPRoute"), 1));
    let classes = [class("squirrel")];
    assert_eq!(staying(&planned(&shop, &live, &classes)), Some("HTTPRoute"), "there is no Ingress");
    live.ingresses = build(&shop).ingresses;
    for (age, stays) in [(0, Some("HTTPRoute")), (60, None)] {
        let made = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(age);
        live.ingresses[0].metadata.creation_timestamp = Some(Time(made));
        assert_eq!(staying(&planned(&shop, &live, &classes)), stays, "{age} s old");
    }
}

#[test]
fn an_ingress_that_stays_keeps_its_class_annotations_and_certificate_and_follows_the_host() {
    let mut before = through_class("squirrel");
    before.spec.host = Some("acorn.test".to_owned());
    before.spec.ingress.annotations.insert("acorn.test/limit".to_owned(), "5".to_owned());
    before.spec.ingress.tls = Some(TlsSpec { secret_name: Some("acorn-edge".to_owned()) });
    let mut live = done::<Live>(&valid(&before));
    live.ingresses[0].annotations_mut().insert(APPLIED_ANNOTATION.to_owned(), "0a1b2c3d4e".to_owned());
    let mut shop = through_a_gateway();
    for host in ["acorn.test", "oak.test"] {
        before.spec.host = Some(host.to_owned());
        shop.spec.host = Some(host.to_owned());
        assert_eq!(planned(&valid(&shop), &live, &[]).objects.ingresses, build(&valid(&before)).ingresses);
    }
}

/// A Shop on a cluster that has another one.
struct Resident {
    shop: Shop,
    live: Objects<Live>,
}

impl Resident {
    fn new(name: &str, second: i64, spec: &ShopSpec) -> Self {
        let mut shop = shop(MINIMAL);
        shop.metadata.name = Some(name.to_owned());
        shop.metadata.uid = Some(format!("uid of {name}"));
        shop.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).expect("a time")));
        shop.spec = spec.clone();
        Self { shop, live: Objects::default() }
    }

    /// The operator looks at it once, where class and Gateway are served or not.
    fn look(&mut self, other: &Self, served: bool) {
        let (shop, others) = (&self.shop, [Arc::new(other.shop.clone())]);
        let shop = validate(shop, &others, &Settings::default(), Credentials::dummy(), &Found::dummy(shop));
        let shop = shop.expect("a valid Shop");
        let classes = if served { vec![class("squirrel")] } else { Vec::new() };
        let Rollout { objects, former_route, .. } = planned(&shop, &self.live, &classes);
        let mut applied: Objects<Applied> = done(&shop);
        (applied.ingresses, applied.http_routes) = (objects.ingresses, objects.http_routes);
        for route in &mut applied.http_routes {
            route.status = Some(attached(route, if served { "True" } else { "False" }));
        }
        self.shop.status = Some(compute(&Facts {
            shop: &shop,
            generation: Some(1),
            applied: &applied,
            migrations: &[],
            former_route: former_route.as_deref(),
            canaries: &Canaries::new(),
            returned: None,
            wish: &Wish::default(),
            given: None,
            pods: &[],
            ingress_classes: &classes,
            previous: None,
            now: Timestamp::UNIX_EPOCH,
        }));
        (self.live.ingresses, self.live.http_routes) = (applied.ingresses, applied.http_routes);
    }

    fn status(&self) -> &ShopStatus {
        self.shop.status.as_ref().expect("a status")
    }

    fn route(&self) -> &Condition {
        self.status().conditions.iter().find(|told| told.type_ == "RouteReady").expect("RouteReady")
    }

    #[track_caller]
    fn check(&self, entrances: &[&Entrance], in_message: &str) {
        let found: Vec<&Entrance> = self.status().entrances.iter().collect();
        assert_eq!(found, entrances);
        let told = &self.route().message;
        assert!(told.contains(in_message), "`{in_message}` is not in `{told}`");
    }
}

/// A class and a Gateway, as a Shop names them and as it has a host there, or every host.
fn ways(host: Option<&str>) -> [(ShopSpec, Entrance); 2] {
    [through_class("squirrel"), through_a_gateway()].map(|Shop { mut spec, .. }| {
        spec.host = host.map(str::to_owned);
        let gateway = spec.ingress.gateway.as_ref().map(|gateway| gateway.within(Some("oak")));
        let entrance = Entrance { host: spec.host.clone(), class_name: spec.ingress.class_name.clone(), gateway };
        (spec, entrance)
    })
}

/// Those of Shops that want every host, and of Shops that want the same one.
fn all_ways() -> [[(ShopSpec, Entrance); 2]; 2] {
    [None, Some("acorn.test")].map(ways)
}

fn older_and_younger(older: &ShopSpec, younger: &ShopSpec) -> [Resident; 2] {
    [Resident::new("older", 1, older), Resident::new("younger", 2, younger)]
}

#[test]
fn a_shop_keeps_its_way_in_from_others_until_it_has_gone_over_to_another_one() {
    for [class, gateway] in all_ways() {
        for ((from, before), (to, after)) in [(&class, &gateway), (&gateway, &class)] {
            let [mut older, mut younger] = older_and_younger(from, from);
            let taken = "Shop oak/older ";
            older.look(&younger, true);
            younger.look(&older, true);
            older.check(&[before], "");
            younger.check(&[], taken);

            older.shop.spec.clone_from(to);
            younger.look(&older, true);
            younger.check(&[], taken);
            older.look(&younger, false);
            older.check(&[&class.1, &gateway.1], "of before stays meanwhile");
            younger.look(&older, true);
            younger.check(&[], taken);

            older.look(&younger, true);
            older.look(&younger, true);
            older.check(&[after], "");
            younger.look(&older, true);
            younger.check(&[before], "");
        }
    }
}

#[test]
fn two_shops_of_the_same_hosts_change_places_and_never_stand_side_by_side() {
    for [class, gateway] in all_ways() {
        for ((first, first_has), (second, second_has)) in [(&class, &gateway), (&gateway, &class)] {
            let [mut older, mut younger] = older_and_younger(first, second);
            older.look(&younger, true);
            younger.look(&older, true);
            older.check(&[first_has], "");
            younger.check(&[second_has], "");

            std::mem::swap(&mut older.shop.spec, &mut younger.shop.spec);
            for _ in 0..3 {
                older.look(&younger, true);
                younger.look(&older, true);
                let ways = &younger.status().entrances;
                let twice = older.status().entrances.iter().find(|entrance| ways.contains(entrance));
                assert_eq!(twice, None);
            }
            older.check(&[second_has], "");
            younger.check(&[first_has], "");
        }
    }
}

#[test]
fn a_shop_whose_host_is_taken_says_by_whom_and_what_to_set() {
    let everything = ("HostlessRouteTaken", "Shop oak/older takes every host already; set spec.host, or another");
    let one = ("HostTaken", "Shop oak/older answers for acorn.test already; set another spec.host, or another");
    for (ways, (reason, words)) in all_ways().into_iter().zip([everything, one]) {
        for (spec, entrance) in ways {
            let [mut older, mut younger] = older_and_younger(&spec, &spec);
            older.look(&younger, true);
            younger.look(&older, true);
            older.check(&[&entrance], "");
            younger.check(&[], words);
            assert_eq!((younger.route().status.as_str(), younger.route().reason.as_str()), ("False", reason));
            assert!(!younger.status().holds("Ready"));
            assert_eq!(younger.status().url, None, "it is the address of the older one");
        }
    }
}
