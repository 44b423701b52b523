//! What the tests share: fixtures, and a cluster that did what was asked of it.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{DeploymentStatus, StatefulSetStatus};
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use ring::rand::SystemRandom;
use shopkeeper_operator::apply::fingerprint;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::identities::{Authorities, new_authority, renew};
use shopkeeper_operator::kinds::{
    HttpRoute, HttpRouteStatus, PostgresClusterStatus, RabbitmqClusterStatus, RabbitmqCondition, RouteCondition,
    RouteParentStatus,
};
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Desired, Live, Objects};
use shopkeeper_operator::render::parse;
use shopkeeper_operator::rotation::Rotation;
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::{ValidShop, validate};

/// The Shop whose spec is empty.
pub const MINIMAL: &str = "acorn";
/// The Shop that sets most fields, each to a value that is no default. What it cannot have besides is in the others.
pub const FULL: &str = "walnut";
/// The Shop whose load decides how many pods it has.
pub const SCALED: &str = "alder";
/// The Shop whose stores somebody else runs.
pub const EXTERNAL: &str = "hazel";
/// The Shop of which other operators run the stores that they can.
pub const OPERATED: &str = "beech";
/// The Shop that is in the namespace of another one, `MINIMAL`.
pub const NEIGHBOUR: &str = "maple";
/// The Shop whose services and stores trust the network.
pub const PLAIN_TEXT: &str = "rowan";
/// The Shop that sleeps.
pub const HIBERNATED: &str = "willow";
/// All of them.
pub const FIXTURES: [&str; 8] = [MINIMAL, FULL, SCALED, EXTERNAL, OPERATED, NEIGHBOUR, PLAIN_TEXT, HIBERNATED];

pub fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn shop(fixture: &str) -> Shop {
    let path = tests_folder().join("fixtures").join(format!("{fixture}.yaml"));
    parse(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The credentials of a Shop, as far as its volumes need them; with the values of `Credentials::dummy`.
pub fn credentials(shop: &Shop) -> Secret {
    let value = |key: &str| ByteString(format!("dummy-{key}").into_bytes());
    let superusers = ["postgres-superuser", "mongodb-root"].map(|key| (key.to_owned(), value(key)));
    let mut secret = Secret { data: Some(superusers.into()), ..Secret::default() };
    secret.metadata.name = Some(names::credentials(&shop.name_any()));
    secret.metadata.labels = Some(names::labels(&shop.name_any(), names::SHOP_COMPONENT, "0.1.0"));
    secret
}

pub fn valid(shop: &Shop) -> ValidShop {
    valid_with(shop, Credentials::dummy())
}

pub fn valid_with(shop: &Shop, credentials: Credentials) -> ValidShop {
    valid_on(shop, credentials, &Found::dummy(shop))
}

/// The same with what is found of stores that are not embedded.
pub fn valid_on(shop: &Shop, credentials: Credentials, found: &Found) -> ValidShop {
    validate(shop, &Vec::<Arc<Shop>>::new(), &Settings::default(), credentials, found).expect("a valid Shop")
}

/// Credentials with certificates that were issued at the beginning of time.
pub fn certified(shop: &Shop) -> Credentials {
    certified_with(shop, Rotation::first(None, Timestamp::UNIX_EPOCH))
}

/// The same at a point of a rotation.
pub fn certified_with(shop: &Shop, rotation: Rotation) -> Credentials {
    let (beginning, random) = (Timestamp::UNIX_EPOCH, SystemRandom::new());
    let authority = new_authority("default", "acorn", beginning, &random).expect("an authority");
    let authorities = Authorities { issuer: &authority, other: None };
    let identities = renew(authorities, shop, &[], &[], beginning, &random).expect("certificates");
    Credentials::dummy_at(rotation).with(identities)
}

/// The wanted objects as a cluster has them that did all of it.
pub fn done<Stage>(shop: &ValidShop) -> Objects<Stage> {
    let mut objects = restage(build(shop));
    for set in &mut objects.stateful_sets {
        set.status = Some(StatefulSetStatus { ready_replicas: Some(1), ..StatefulSetStatus::default() });
    }
    for cluster in &mut objects.postgres_clusters {
        let primary = Some("beech-postgres-1".to_owned());
        cluster.status = Some(PostgresClusterStatus {
            ready_instances: Some(3),
            current_primary: primary.clone(),
            target_primary: primary,
            ..PostgresClusterStatus::default()
        });
    }
    for cluster in &mut objects.rabbitmq_clusters {
        let available = RabbitmqCondition {
            type_: "ClusterAvailable".to_owned(),
            status: "True".to_owned(),
            ..RabbitmqCondition::default()
        };
        cluster.status =
            Some(RabbitmqClusterStatus { conditions: vec![available], ..RabbitmqClusterStatus::default() });
    }
    for route in &mut objects.http_routes {
        route.status = Some(attached(route, "True"));
    }
    for job in &mut objects.jobs {
        job.status = Some(job_status("Complete"));
    }
    for deployment in &mut objects.deployments {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let service = shop.services.iter().find(|service| name == format!("{}-{}", shop.name, service.service.name));
        // What an autoscaler decides about has as few as it may have.
        let least = service.map(|service| service.replicas.least());
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).or(least);
        if let Some(spec) = &mut deployment.spec {
            spec.replicas = replicas;
        }
        deployment.status = Some(DeploymentStatus {
            replicas,
            ready_replicas: replicas,
            updated_replicas: replicas,
            available_replicas: replicas,
            ..DeploymentStatus::default()
        });
    }
    objects
}

/// The same, as the operator notes it.
pub fn running(shop: &ValidShop) -> Objects<Live> {
    let mut live = done(shop);
    for (found, wanted) in live.deployments.iter_mut().zip(build(shop).deployments) {
        let applied = fingerprint(&wanted).expect("a hash");
        found.annotations_mut().insert(names::APPLIED_ANNOTATION.to_owned(), applied);
    }
    live
}

/// What is said of a route by whoever runs its Gateways.
pub fn attached(route: &HttpRoute, accepted: &str) -> HttpRouteStatus {
    let condition = |type_: &str, status: &str| RouteCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: "Test".to_owned(),
        message: "the listener takes no routes from here".to_owned(),
        observed_generation: route.metadata.generation.unwrap_or_default(),
    };
    let parents = route.spec.parent_refs.iter().map(|parent| RouteParentStatus {
        parent_ref: parent.clone(),
        controller_name: "edge.test/controller".to_owned(),
        conditions: vec![condition("Accepted", accepted), condition("ResolvedRefs", "True")],
    });
    HttpRouteStatus { parents: parents.collect() }
}

pub fn job_status(condition: &str) -> JobStatus {
    let condition = JobCondition { type_: condition.to_owned(), status: "True".to_owned(), ..JobCondition::default() };
    JobStatus { conditions: Some(vec![condition]), ..JobStatus::default() }
}

fn restage<Stage>(objects: Objects<Desired>) -> Objects<Stage> {
    let Objects {
        service_accounts,
        secrets,
        config_maps,
        services,
        stateful_sets,
        postgres_clusters,
        rabbitmq_clusters,
        jobs,
        deployments,
        horizontal_pod_autoscalers,
        pod_disruption_budgets,
        network_policies,
        ingresses,
        http_routes,
        stage: PhantomData,
    } = objects;
    Objects {
        service_accounts,
        secrets,
        config_maps,
        services,
        stateful_sets,
        postgres_clusters,
        rabbitmq_clusters,
        jobs,
        deployments,
        horizontal_pod_autoscalers,
        pod_disruption_budgets,
        network_policies,
        ingresses,
        http_routes,
        stage: PhantomData,
    }
}
