//! What the tests share: fixtures, and a cluster that did what was asked of it.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DeploymentStatus, StatefulSetStatus};
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::objects::{Desired, Objects};
use shopkeeper_operator::render::parse;
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::validate::{ValidShop, validate};

/// The Shop that says nothing.
pub const MINIMAL: &str = "acorn";
/// The Shop that says everything.
pub const FULL: &str = "walnut";
/// The Shop whose load decides how many pods it has.
pub const SCALED: &str = "alder";

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

pub fn valid(shop: &Shop) -> ValidShop {
    valid_with(shop, Credentials::dummy())
}

pub fn valid_with(shop: &Shop, credentials: Credentials) -> ValidShop {
    validate(shop, &Vec::<Arc<Shop>>::new(), &Settings::default(), credentials).expect("a valid Shop")
}

/// The wanted objects as a cluster has them that did all of it.
pub fn done<Stage>(shop: &ValidShop) -> Objects<Stage> {
    let mut objects = restage(build(shop));
    for set in &mut objects.stateful_sets {
        set.status = Some(StatefulSetStatus { ready_replicas: Some(1), ..StatefulSetStatus::default() });
    }
    for job in &mut objects.jobs {
        job.status = Some(job_status("Complete"));
    }
    for deployment in &mut objects.deployments {
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
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
        jobs,
        deployments,
        horizontal_pod_autoscalers,
        pod_disruption_budgets,
        network_policies,
        ingresses,
        stage: PhantomData,
    } = objects;
    Objects {
        service_accounts,
        secrets,
        config_maps,
        services,
        stateful_sets,
        jobs,
        deployments,
        horizontal_pod_autoscalers,
        pod_disruption_budgets,
        network_policies,
        ingresses,
        stage: PhantomData,
    }
}
