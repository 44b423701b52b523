//! What all pods share: restricted security, no token, no environment from neighbours.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, HTTPGetAction,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::component_name;
use crate::crd::PullPolicy;
use crate::names;
use crate::validate::{Quantities, ValidShop};

/// User and group of the images made from scratch.
pub(super) const SERVICE_USER: i64 = 65532;
/// User and group of the stores' images.
pub(super) const STORE_USER: i64 = 999;

/// What differs between pods.
pub(super) struct Pod {
    pub component: &'static str,
    pub version: String,
    pub user: i64,
    pub pull_policy: PullPolicy,
    /// Hash of what the pod reads at start.
    pub inputs: Option<String>,
    pub container: Container,
    pub volumes: Vec<Volume>,
    pub grace_seconds: i64,
    pub restart_policy: Option<&'static str>,
}

/// A pod template with the restricted profile and one hardened container.
pub(super) fn template(shop: &ValidShop, pod: Pod) -> PodTemplateSpec {
    let secrets: Vec<_> = shop.pull_secrets.iter().map(|name| local_reference(name)).collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(&shop.name, pod.component, &pod.version)),
            annotations: pod.inputs.map(|hash| BTreeMap::from([(names::INPUTS_ANNOTATION.to_owned(), hash)])),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(component_name(shop, pod.component)),
            automount_service_account_token: Some(false),
            // Variables such as SHOP_USER_PORT, made from Service names, would be read as settings.
            enable_service_links: Some(false),
            image_pull_secrets: Some(secrets).filter(|secrets| !secrets.is_empty()),
            security_context: Some(pod_security(pod.user)),
            termination_grace_period_seconds: Some(pod.grace_seconds),
            restart_policy: pod.restart_policy.map(str::to_owned),
            containers: vec![harden(pod.container, pod.pull_policy)],
            volumes: Some(pod.volumes).filter(|volumes| !volumes.is_empty()),
            ..PodSpec::default()
        }),
    }
}

fn local_reference(name: &str) -> k8s_openapi::api::core::v1::LocalObjectReference {
    k8s_openapi::api::core::v1::LocalObjectReference { name: name.to_owned() }
}

fn pod_security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // A volume with a million files is not walked at every start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

fn harden(container: Container, pull_policy: PullPolicy) -> Container {
    Container {
        image_pull_policy: Some(pull_policy.as_str().to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        // The last lines of the log become the reason in the status of the pod, and from there of the Shop.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..container
    }
}

/// CPU and memory of a container.
pub(super) fn resources(quantities: &Quantities) -> ResourceRequirements {
    let convert = |amounts: &BTreeMap<String, String>| {
        amounts.iter().map(|(key, value)| (key.clone(), Quantity(value.clone()))).collect()
    };
    ResourceRequirements {
        requests: Some(convert(&quantities.requests)),
        limits: Some(convert(&quantities.limits)),
        ..ResourceRequirements::default()
    }
}

/// CPU and memory of a store: what is kept free, and what ends the container.
pub(super) fn store_resources(cpu: &str, memory: &str, limit: &str) -> ResourceRequirements {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    resources(&Quantities {
        requests: BTreeMap::from([entry("cpu", cpu), entry("memory", memory)]),
        limits: BTreeMap::from([entry("memory", limit)]),
    })
}

/// A variable with a value that is no secret.
pub(super) fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), ..EnvVar::default() }
}

/// A variable whose value is a key of a Secret.
pub(super) fn secret_variable(name: &str, secret: String, key: &str) -> EnvVar {
    from_secret(name, SecretKeySelector { name: secret, key: key.to_owned(), optional: None })
}

/// The same for a key that may be missing; the variable then is.
pub(super) fn optional_secret_variable(name: &str, secret: String, key: &str) -> EnvVar {
    from_secret(name, SecretKeySelector { name: secret, key: key.to_owned(), optional: Some(true) })
}

fn from_secret(name: &str, source: SecretKeySelector) -> EnvVar {
    let value_from = EnvVarSource { secret_key_ref: Some(source), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(value_from), ..EnvVar::default() }
}

/// A variable with a field of the pod.
pub(super) fn field_variable(name: &str, path: &str) -> EnvVar {
    let source = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    let value_from = EnvVarSource { field_ref: Some(source), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(value_from), ..EnvVar::default() }
}

/// A folder that lives as long as the pod.
pub(super) fn scratch(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// Where a volume appears in the container.
pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// The same, for what the container only reads.
pub(super) fn read_only_mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(name, path) }
}

/// Asks an HTTP path of the container.
pub(super) fn http_probe(path: &str, port: &str) -> Probe {
    let action = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(port.to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(action), timeout_seconds: Some(2), ..Probe::default() }
}

/// Asks whether a port takes connections.
pub(super) fn tcp_probe(port: &str) -> Probe {
    let action = TCPSocketAction { port: IntOrString::String(port.to_owned()), ..TCPSocketAction::default() };
    Probe { tcp_socket: Some(action), timeout_seconds: Some(2), ..Probe::default() }
}

/// Asks a command inside the container.
pub(super) fn exec_probe(command: Vec<String>) -> Probe {
    Probe { exec: Some(ExecAction { command: Some(command) }), timeout_seconds: Some(5), ..Probe::default() }
}

/// The same question at another pace.
pub(super) fn every(seconds: i32, failures: i32, probe: Probe) -> Probe {
    Probe { period_seconds: Some(seconds), failure_threshold: Some(failures), ..probe }
}
