//! The Job that brings a service's store to the version of its image, before pods of that version start.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodTemplateSpec};

use super::pod::{self, Pod, secret_variable, variable};
use super::secret::{ADMIN_URL, FORMER_ADMIN_URL, login_key};
use super::{Inputs, addresses, component_name, deployment, env, meta, short_hash, strings};
use crate::catalog::POSTGRES;
use crate::credentials::Login;
use crate::names;
use crate::validate::{ValidService, ValidShop};

/// Attempts after the first one; `migrate` itself waits for its store, so more would only hide a defect.
const RETRIES: i32 = 2;

/// The Jobs of a service: one for each log-in that its database has to learn, the one in use and the next. The database is
/// brought to the version by each of them, which does no harm.
pub(super) fn jobs(inputs: &Inputs<'_>, service: &ValidService) -> Vec<Job> {
    let shop = inputs.shop;
    let name = service.service.name;
    let Some(store) = shop.store_of_logins(service.service) else {
        return vec![job(inputs, service, Vec::new())];
    };
    let in_use = shop.credentials.rotation().generation;
    let logins = shop.credentials.logins(store, name).into_iter().filter(|login| login.generation >= in_use);
    logins.map(|login| job(inputs, service, logging_in(shop, store, name, &login))).collect()
}

fn job(inputs: &Inputs<'_>, service: &ValidService, variables: Vec<EnvVar>) -> Job {
    let shop = inputs.shop;
    let component = service.service.name;
    let template = template(shop, service, variables);
    // A Job cannot be changed, so whatever changes it names another one: the image above all.
    let mut identity = serde_json::to_vec(&template.spec).unwrap_or_default();
    // Who we are at somebody else's store is tried again when it changes.
    if shop.asks_others(service.service) {
        let mut read = deployment::reads(shop, service);
        // The pods know a role of their own, whoever made it.
        read.extend(service.service.uses(POSTGRES).then(|| component_name(shop, POSTGRES)));
        identity.extend(inputs.hash(&read).into_bytes());
    }
    let name = format!("{}-migrate-{}", component_name(shop, component), &short_hash(&identity)[..8]);
    Job {
        metadata: meta::versioned(shop, component, name, &service.version),
        spec: Some(JobSpec { backoff_limit: Some(RETRIES), template, ..JobSpec::default() }),
        status: None,
    }
}

/// What a migration knows beyond its service: the superuser, the log-in to make if it is not the first one, and the one
/// to end.
fn logging_in(shop: &ValidShop, store: &str, service: &str, login: &Login<'_>) -> Vec<EnvVar> {
    let name = |field: &str| format!("SHOP_{}__{field}", store.to_ascii_uppercase());
    let superuser = |field: &str, key: &str| secret_variable(&name(field), component_name(shop, store), key);
    let former = addresses::former_admin(shop, store).map(|_| superuser("FORMER_ADMIN_URL", FORMER_ADMIN_URL));
    let key = login_key(service, login.generation);
    let later = (login.generation > 0).then(|| secret_variable(&name("URL"), names::logins(&shop.name, store), &key));
    let retired = shop.credentials.retired(service).map(|user| match store {
        POSTGRES => addresses::role(shop, service, &user),
        _ => user,
    });
    let retired = retired.map(|user| variable(&name("RETIRED"), user));
    [superuser("ADMIN_URL", ADMIN_URL)].into_iter().chain(former).chain(later).chain(retired).collect()
}

fn template(shop: &ValidShop, service: &ValidService, variables: Vec<EnvVar>) -> PodTemplateSpec {
    let (volumes, mounts) = deployment::volumes(shop, service);
    let mut env = env::of(shop, service);
    env.extend(variables);
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
