//! Pure: whether the wanted images run, or the last ones with which the whole Shop was ready.
//!
//! The spec is never touched. That an attempt failed, and which one it was, stands in the status; any other spec (or another
//! default version of the operator, or another value in a Secret that the spec names) is another attempt and is made at once,
//! whatever state the pods of the failed one are in. While a store's Secret cannot be read there is no attempt at all: nothing
//! is rolled, and what failed before is still what failed.
//! Pods that serve are never in danger meanwhile: a pod that does not become ready replaces none.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::apply::fingerprint;
use crate::build::{PROGRESS_DEADLINE, build, short_hash};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS};
use crate::crd::{Release, RolledBack, Shop, ShopStatus};
use crate::names;
use crate::objects::{Desired, Live, Objects};
use crate::rollout::{is_of_canary, out_of_time};
use crate::validate::{ValidService, ValidShop};

/// What is to run.
pub struct Choice {
    /// The Shop, with the images that are to run.
    pub shop: ValidShop,
    /// Its objects.
    pub objects: Objects<Desired>,
    /// The attempt that failed, if what runs is not what is wanted.
    pub returned: Option<RolledBack>,
}

/// Decides what is to run.
#[must_use]
pub fn choose(wanted: ValidShop, shop: &Shop, live: &Objects<Live>, now: Timestamp) -> Choice {
    let objects = build(&wanted);
    let Some((status, last)) = shop.status.as_ref().and_then(|status| Some((status, status.last_ready.as_ref()?)))
    else {
        return Choice { shop: wanted, objects, returned: None };
    };
    let attempt = attempt(shop, &wanted);
    let known = status.rolled_back.clone().filter(|before| before.attempt == attempt || !wanted.knows_its_stores());
    let failed = known.or_else(|| {
        let fair = wanted.knows_its_stores()
            && !wanted.hibernated
            && images(&wanted) != last.images
            && stores_were_ready(status, now);
        let late = late(&wanted, &objects, live);
        (fair && !late.is_empty()).then(|| RolledBack { attempt, message: message(&late, status, last) })
    });
    match failed {
        None => Choice { shop: wanted, objects, returned: None },
        Some(failed) => {
            let shop = with_images(wanted, last);
            let mut objects = build(&shop);
            // These images have been ready, so their migrations are done, but for those of canaries that go on; older binaries
            // may not know the newer ones.
            objects.jobs.retain(is_of_canary);
            Choice { shop, objects, returned: Some(failed) }
        }
    }
}

/// The images of a Shop, as they are recorded when it is ready.
#[must_use]
pub fn release(shop: &ValidShop) -> Release {
    Release { version: shop.version.clone(), images: images(shop) }
}

fn images(shop: &ValidShop) -> BTreeMap<String, String> {
    shop.services.iter().map(|service| (service.service.name.to_owned(), service.image.clone())).collect()
}

fn with_images(mut shop: ValidShop, release: &Release) -> ValidShop {
    shop.version.clone_from(&release.version);
    for service in &mut shop.services {
        let image = release.images.get(service.service.name);
        if let Some(image) = image.filter(|image| **image != service.image) {
            // Its canary was to run beside what failed.
            *service = ValidService { canary: None, ..service.with_image(image) };
        }
    }
    shop
}

/// What was tried: everything in the spec except for what only says when the Shop runs and what it leaves, the images, and what
/// others say in Secrets.
fn attempt(shop: &Shop, wanted: &ValidShop) -> String {
    let mut spec = json!(shop.spec);
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("lifecycle");
    }
    for store in [POSTGRES, MONGODB, REDIS, RABBITMQ] {
        if let Some(Value::Object(fields)) = spec.pointer_mut(&format!("/{store}/embedded")) {
            fields.remove("dataOnDelete");
        }
    }
    short_hash(json!([spec, images(wanted), wanted.all_given]).to_string().as_bytes())
}

/// Whether the stores were ready for as long as a Deployment has for its rollout. One that was away meanwhile is no fault of
/// the images.
fn stores_were_ready(status: &ShopStatus, now: Timestamp) -> bool {
    let rollout = SignedDuration::from_secs(PROGRESS_DEADLINE.into());
    stores_ready_since(status).is_some_and(|since| since + rollout <= now)
}

/// Since when the stores are ready, if they are.
pub(crate) fn stores_ready_since(status: &ShopStatus) -> Option<Timestamp> {
    let found = status.conditions.iter().find(|condition| condition.type_ == "DependenciesReady")?;
    (found.status == "True").then_some(found.last_transition_time.0)
}

/// Services whose Deployment is the wanted one and has had its time, with their versions.
fn late(wanted: &ValidShop, objects: &Objects<Desired>, live: &Objects<Live>) -> Vec<String> {
    let is_late = |name: &str| {
        let of_service = |found: &&Deployment| found.name_any() == name;
        let wanted = objects.deployments.iter().find(of_service).and_then(|found| fingerprint(found).ok());
        let live = live.deployments.iter().find(of_service);
        live.is_some_and(|live| {
            out_of_time(live) && live.annotations().get(names::APPLIED_ANNOTATION) == wanted.as_ref()
        })
    };
    let services = wanted.services.iter();
    let late = services.filter(|service| is_late(&names::component(&wanted.name, service.service.name)));
    late.map(|service| format!("{} {}", service.service.name, service.version)).collect()
}

fn message(late: &[String], status: &ShopStatus, last: &Release) -> String {
    let told = status.conditions.iter().find(|condition| condition.type_ == "ServicesReady");
    let told = told.map(|told| format!(" ({})", told.message)).unwrap_or_default();
    format!(
        "{} did not become ready in time{told}; the images of {} run instead until the spec changes, or a Secret that \
         it names",
        late.join(", "),
        last.version
    )
}
