//! Everything the operator makes for one Shop: one `Vec` per kind, in the order in which it is applied.

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::kinds::{HttpRoute, PostgresCluster, RabbitmqCluster};

/// Objects as they should be, made by builders.
#[derive(Debug, Default)]
pub struct Desired;
/// Objects as they were found on the cluster.
#[derive(Debug, Default)]
pub struct Live;
/// Objects as the cluster has them after they were applied. Status is computed from these only.
#[derive(Debug)]
pub struct Applied;

/// The objects of one Shop at one stage of a reconcile.
///
/// `apply` takes this struct apart without `..`: a kind that is added here and applied nowhere does not compile.
#[derive(Debug, Default)]
pub struct Objects<Stage> {
    /// Identities of pods.
    pub service_accounts: Vec<ServiceAccount>,
    /// Passwords and keys.
    pub secrets: Vec<Secret>,
    /// Configuration files.
    pub config_maps: Vec<ConfigMap>,
    /// Names under which pods are reached.
    pub services: Vec<Service>,
    /// Stores.
    pub stateful_sets: Vec<StatefulSet>,
    /// Stores that CloudNativePG runs.
    pub postgres_clusters: Vec<PostgresCluster>,
    /// Stores that the RabbitMQ cluster operator runs.
    pub rabbitmq_clusters: Vec<RabbitmqCluster>,
    /// Migrations.
    pub jobs: Vec<Job>,
    /// Services, and the trace store.
    pub deployments: Vec<Deployment>,
    /// What decides the number of pods by their load.
    pub horizontal_pod_autoscalers: Vec<HorizontalPodAutoscaler>,
    /// What limits evictions.
    pub pod_disruption_budgets: Vec<PodDisruptionBudget>,
    /// Who may reach whom over the network.
    pub network_policies: Vec<NetworkPolicy>,
    /// The route.
    pub ingresses: Vec<Ingress>,
    /// The same through a Gateway.
    pub http_routes: Vec<HttpRoute>,
    /// Which stage the objects are at.
    pub stage: PhantomData<Stage>,
}
