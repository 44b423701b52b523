//! The Job that brings a service's store to the version of its image, before pods of that version start.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};

use super::pod::{self, Pod, secret_variable};
use super::{Inputs, component_name, deployment, env, meta, short_hash, strings};
use crate::catalog::POSTGRES;
use crate::names;
use crate::validate::{ValidService, ValidShop};

/// Attempts after the first one; `migrate` itself waits for its store, so more would only hide a defect.
const RETRIES: i32 = 2;

pub(super) fn job(inputs: &Inputs<'_>, service: &ValidService) -> Job {
    let shop = inputs.shop;
    let component = service.service.name;
    let template = template(shop, service);
    // A Job cannot be changed, so whatever changes it names another one: the image above all.
    let identity = serde_json::to_vec(&template.spec).unwrap_or_default();
    let name = format!("{}-migrate-{}", component_name(shop, component), &short_hash(&identity)[..8]);
    Job {
        metadata: meta::versioned(shop, component, name, &service.version),
        spec: Some(JobSpec { backoff_limit: Some(RETRIES), template, ..JobSpec::default() }),
        status: None,
    }
}

fn template(shop: &ValidShop, service: &ValidService) -> PodTemplateSpec {
    let (volumes, mounts) = deployment::volumes(shop, service);
    let mut env = env::of(shop, service);
    if service.service.uses(POSTGRES) {
        let superuser = component_name(shop, POSTGRES);
        env.push(secret_variable("SHOP_POSTGRES__ADMIN_URL", superuser, "admin-url"));
    }
    let mut template = pod::template(
        shop,
        Pod {
            component: service.service.name,
            version: service.version.clone(),
            user: pod::SERVICE_USER,
            pull_policy: shop.pull_policy,
            inputs: None,
            container: Container {
                name: "migrate".to_owned(),
                image: Some(service.image.clone()),
                args: Some(strings(["migrate"])),
                env: Some(env),
                env_from: deployment::secret_env(shop, service),
                resources: Some(pod::resources(&service.resources)),
                volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
                ..Container::default()
            },
            volumes,
            grace_seconds: 30,
            // Each failed attempt stays as a pod of its own, with its log.
            restart_policy: Some("Never"),
        },
    );
    // The Services of the component select its pods by these labels; a migration takes no requests.
    if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.insert(names::COMPONENT_LABEL.to_owned(), names::migration(service.service.name));
    }
    template
}
