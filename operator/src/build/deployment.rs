//! The Deployment of a service.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EnvFromSource, Lifecycle, LifecycleHandler, PodTemplateSpec,
    SecretEnvSource, SecretVolumeSource, SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{self, Pod};
use super::{Inputs, addresses, component_name, env, meta, strings};
use crate::catalog::Tokens;
use crate::given;
use crate::names;
use crate::validate::{ValidService, ValidShop};

/// Seconds within which a rollout has to get a pod further.
pub(crate) const PROGRESS_DEADLINE: i32 = 300;
/// Pods leave the endpoints while they still answer, for this long.
const LEAVE_SECONDS: i64 = 3;

pub(super) fn build(inputs: &Inputs<'_>, service: &ValidService) -> Deployment {
    let shop = inputs.shop;
    let component = service.component();
    let name = component_name(shop, &component);
    let mut metadata = meta::versioned(shop, &component, name, &service.version);
    if service.is_canary {
        meta::mark(&mut metadata);
    }
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: if shop.hibernated { Some(0) } else { service.replicas.fixed() },
            selector: meta::selector(shop, &component),
            // A pod that does not become ready, whatever the reason, never replaces one that is.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            revision_history_limit: Some(3),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE),
            template: template(inputs, service),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Limits evictions to one pod at a time, where there is more than one.
pub(super) fn disruption_budget(shop: &ValidShop, service: &ValidService) -> Option<PodDisruptionBudget> {
    let name = service.service.name;
    (service.replicas.least() >= 2).then(|| PodDisruptionBudget {
        metadata: meta::metadata(shop, name, component_name(shop, name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(meta::selector(shop, name)),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

fn template(inputs: &Inputs<'_>, service: &ValidService) -> PodTemplateSpec {
    let shop = inputs.shop;
    let (volumes, mounts) = volumes(shop, service);
    let mut template = pod::template(
        shop,
        Pod {
            component: service.service.name,
            version: service.version.clone(),
            user: pod::SERVICE_USER,
            pull_policy: shop.pull_policy,
            inputs: Some(inputs.hash(&reads(shop, service))),
            container: container(shop, service, mounts),
            volumes,
            grace_seconds: 30,
            restart_policy: None,
        },
    );
    if let Some(spec) = template.spec.as_mut().filter(|_| service.replicas.most() >= 2) {
        spec.topology_spread_constraints = Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(meta::selector(shop, &service.component())),
            ..TopologySpreadConstraint::default()
        }]);
    }
    if let Some(metadata) = template.metadata.as_mut().filter(|_| service.is_canary) {
        meta::mark(metadata);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(names::COMPONENT_LABEL.to_owned(), service.component());
    }
    template
}

fn container(shop: &ValidShop, service: &ValidService, mounts: Vec<VolumeMount>) -> Container {
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let grpc = service.service.grpc.then(|| port("grpc", 9090));
    let sleep = SleepAction { seconds: LEAVE_SECONDS };
    Container {
        name: service.service.name.to_owned(),
        image: Some(service.image.clone()),
        args: Some(strings(["serve"])),
        env: Some(env::of(shop, service)),
        env_from: secret_env(shop, service),
        ports: Some([port("http", 8080), port("admin", 8081)].into_iter().chain(grpc).collect()),
        startup_probe: Some(pod::every(1, 120, pod::http_probe("/readyz", "admin"))),
        readiness_probe: Some(pod::every(5, 2, pod::http_probe("/readyz", "admin"))),
        liveness_probe: Some(pod::every(10, 3, pod::http_probe("/livez", "admin"))),
        resources: Some(pod::resources(&service.resources)),
        volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler { sleep: Some(sleep), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        ..Container::default()
    }
}

/// The Secret with the addresses of the service's stores, as variables.
pub(super) fn secret_env(shop: &ValidShop, service: &ValidService) -> Option<Vec<EnvFromSource>> {
    let source = || EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: component_name(shop, service.service.name), optional: None }),
        ..EnvFromSource::default()
    };
    (!service.service.stores.is_empty()).then(|| vec![source()])
}

/// Secrets that the pod reads once, at its start. The keys of tokens are not among them: services follow their files.
pub(super) fn reads(shop: &ValidShop, service: &ValidService) -> Vec<String> {
    let name = service.service.name;
    let authorities = addresses::checks(shop, service.service).then(|| names::store_authorities(&shop.name));
    [component_name(shop, name)].into_iter().chain(given::read_by(shop, name)).chain(authorities).collect()
}

/// The key files of a service and where they appear.
pub(super) fn volumes(shop: &ValidShop, service: &ValidService) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    if service.service.verifies_tokens() {
        let source = ConfigMapVolumeSource { name: names::jwks(&shop.name), ..ConfigMapVolumeSource::default() };
        volumes.push(Volume { name: "auth".to_owned(), config_map: Some(source), ..Volume::default() });
        mounts.push(pod::read_only_mount("auth", env::AUTH_FOLDER));
    }
    if service.service.tokens == Tokens::Signs {
        let secret_name = Some(names::signing(&shop.name));
        let source = SecretVolumeSource { secret_name, ..SecretVolumeSource::default() };
        volumes.push(Volume { name: "signing".to_owned(), secret: Some(source), ..Volume::default() });
        mounts.push(pod::read_only_mount("signing", env::SIGNING_FOLDER));
    }
    if !service.service.peers.is_empty() {
        let source = ConfigMapVolumeSource { name: names::traffic(&shop.name), ..ConfigMapVolumeSource::default() };
        volumes.push(Volume { name: "traffic".to_owned(), config_map: Some(source), ..Volume::default() });
        mounts.push(pod::read_only_mount("traffic", env::TRAFFIC_FOLDER));
    }
    if env::meets_neighbours(shop, service) {
        let secret_name = Some(names::identity(&shop.name, service.service.name));
        let source = SecretVolumeSource { secret_name, ..SecretVolumeSource::default() };
        volumes.push(Volume { name: "identity".to_owned(), secret: Some(source), ..Volume::default() });
        mounts.push(pod::read_only_mount("identity", env::IDENTITY_FOLDER));
    }
    if addresses::checks(shop, service.service) {
        volumes.push(addresses::volume(shop));
        mounts.extend(addresses::mounts(shop, service.service));
    }
    (volumes, mounts)
}
