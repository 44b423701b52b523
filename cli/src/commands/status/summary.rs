//! Pure: a Shop's own word and what was seen of its parts, put together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Container, Event, PersistentVolumeClaim, Pod, PodTemplateSpec, ResourceRequirements, Secret},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use shopkeeper_operator::{
    crd::{CanaryStatus, Phase, Shop, ShopStatus, StoreMode},
    identities::CERTIFICATE,
    names,
};
use x509_parser::pem::parse_x509_pem;

use crate::explain::explain;

/// More than fits a screen beside the rest is for `kubectl get events`.
const MOST_EVENTS: usize = 8;

/// What was seen of a Shop's parts.
#[derive(Default)]
pub struct Seen {
    /// Services and the trace store.
    pub deployments: Vec<Deployment>,
    /// Embedded stores.
    pub sets: Vec<StatefulSet>,
    /// Pods of all of them.
    pub pods: Vec<Pod>,
    /// Volumes that embedded stores have.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Everything that happened in the namespace.
    pub events: Vec<Event>,
    /// Certificates.
    pub leaves: Vec<Leaf>,
    /// What services measure.
    pub gauges: BTreeMap<String, Gauges>,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// A certificate.
#[derive(Debug, PartialEq, Serialize)]
pub struct Leaf {
    /// The Secret it is in.
    pub secret: String,
    /// When it is no longer good.
    pub expires: Timestamp,
}

/// What services measure of their events.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gauges {
    /// Age of the oldest event that is not sent.
    pub outbox_lag_seconds: Option<f64>,
    /// Messages that wait for a person.
    pub dead_letters: Option<f64>,
}

/// A Shop on one screen.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it is Ready, as it is wanted now.
    pub ready: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// How often its spec was changed.
    pub generation: Option<i64>,
    /// What the operator last said of it, without services and stores, which have more to tell.
    pub phase: Option<Phase>,
    /// Which generation that is about.
    pub observed_generation: Option<i64>,
    /// Version of all services.
    pub version: Option<String>,
    /// Address of the shop.
    pub url: Option<String>,
    /// Why it is where it is.
    pub conditions: Vec<Condition>,
    /// Each service.
    pub services: Vec<Service>,
    /// Each store.
    pub stores: Vec<Store>,
    /// Each certificate.
    pub certificates: Vec<Leaf>,
    /// What happened last, the newest first.
    pub events: Vec<Happened>,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// One service.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are wanted.
    pub desired: i32,
    /// Version that its pods run.
    pub version: Option<String>,
    /// The image that they should run.
    pub image: Option<String>,
    /// How often their containers were started again.
    pub restarts: i32,
    /// CPU that is kept free for a pod.
    pub cpu: Option<String>,
    /// Memory that is kept free for a pod, and the most it may use.
    pub memory: Option<String>,
    /// Events that wait, for services that send or get any.
    #[serde(flatten)]
    pub gauges: Gauges,
    /// Another version beside it.
    pub canary: Option<CanaryStatus>,
}

/// One store.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Where it lives: `embedded`, for instance.
    pub mode: String,
    /// Whether it takes connections.
    pub ready: bool,
    /// Size of its volume.
    pub volume: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// How often its container was started again.
    pub restarts: i32,
}

/// Something that happened.
#[derive(Serialize)]
pub struct Happened {
    /// When it happened last.
    pub at: Option<Timestamp>,
    /// Normal or Warning.
    pub kind: String,
    /// In a word.
    pub reason: String,
    /// To what.
    pub object: String,
    /// In a sentence.
    pub message: String,
}

impl Seen {
    /// What was found, or nothing and a note.
    pub fn or_note<T: Default, E: Into<anyhow::Error>>(&mut self, what: &str, found: Result<T, E>) -> T {
        found.unwrap_or_else(|error| {
            self.notes.push(format!("{what}: {}", explain(error)));
            T::default()
        })
    }

    fn restarts(&self, component: &str) -> i32 {
        let statuses = self.pods.iter().filter(|pod| is_of(*pod, component)).filter_map(|pod| pod.status.as_ref());
        statuses.flat_map(|status| status.container_statuses.iter().flatten()).map(|status| status.restart_count).sum()
    }

    fn container(&self, component: &str) -> Option<&Container> {
        let deployment = self.deployments.iter().find(|found| is_of(*found, component));
        let set = self.sets.iter().find(|found| is_of(*found, component));
        let template: Option<&PodTemplateSpec> = deployment
            .and_then(|found| found.spec.as_ref().map(|spec| &spec.template))
            .or_else(|| set.and_then(|found| found.spec.as_ref().map(|spec| &spec.template)));
        template?.spec.as_ref()?.containers.first()
    }

    fn volume(&self, name: &str) -> Option<String> {
        let claim = self.claims.iter().find(|found| found.name_any() == name)?;
        let size = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage").cloned());
        let wanted = || claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage").cloned();
        size.or_else(wanted).map(|size| size.0)
    }

    /// The last events of the Shop and of its parts.
    fn last_events(&self, shop: &str) -> Vec<Happened> {
        let parts = self.deployments.iter().map(|found| ("Deployment", found.name_any()));
        let parts = parts.chain(self.sets.iter().map(|found| ("StatefulSet", found.name_any())));
        let parts = parts.chain(self.pods.iter().map(|found| ("Pod", found.name_any())));
        let known: BTreeSet<(&str, String)> = parts.chain([("Shop", shop.to_owned())]).collect();
        let mut events: Vec<Happened> = self.events.iter().filter_map(|event| happened(event, &known)).collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        events.truncate(MOST_EVENTS);
        events
    }
}

impl Leaf {
    /// The certificate in a Secret, if there is one.
    pub fn read(secret: &Secret) -> Option<Self> {
        let (_, pem) = parse_x509_pem(&secret.data.as_ref()?.get(CERTIFICATE)?.0).ok()?;
        let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
        Some(Self { secret: secret.name_any(), expires: Timestamp::from_second(end).ok()? })
    }
}

impl Gauges {
    /// Takes in what one pod says; of several, the worst counts.
    pub fn read(&mut self, metrics: &str) {
        let worst = |name: &str, so_far: Option<f64>| {
            let lines = metrics.lines().filter_map(|line| line.split_once(' '));
            let found = lines.filter(|(metric, _)| *metric == name).filter_map(|(_, value)| value.parse().ok());
            found.chain(so_far).reduce(f64::max)
        };
        self.outbox_lag_seconds = worst("outbox_lag_seconds", self.outbox_lag_seconds);
        self.dead_letters = worst("dead_letters", self.dead_letters);
    }
}

/// Puts it together.
pub fn summary(shop: &Shop, mut seen: Seen) -> Summary {
    let status = shop.status.clone().filter(ShopStatus::is_seen).unwrap_or_else(|| {
        let place = shop.namespace().unwrap_or_default();
        seen.notes.push(format!("no operator has looked at it yet: is there one, and does it watch {place}?"));
        ShopStatus::default()
    });
    let current = status.observed_generation >= shop.metadata.generation;
    let ready = status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Summary {
        name: shop.name_any(),
        namespace: shop.namespace().unwrap_or_default(),
        ready: ready && current,
        created: shop.creation_timestamp().map(|time| time.0),
        generation: shop.metadata.generation,
        services: status.services.iter().map(|service| of_service(service, &seen)).collect(),
        stores: status.stores.iter().map(|store| of_store(&shop.name_any(), store, &seen)).collect(),
        events: seen.last_events(&shop.name_any()),
        certificates: seen.leaves,
        phase: status.phase,
        observed_generation: status.observed_generation,
        version: status.version,
        url: status.url,
        conditions: status.conditions,
        notes: seen.notes,
    }
}

fn of_service(service: &shopkeeper_operator::crd::ServiceStatus, seen: &Seen) -> Service {
    let container = seen.container(&service.name);
    let resources = container.and_then(|container| container.resources.clone()).unwrap_or_default();
    Service {
        name: service.name.clone(),
        ready: service.ready,
        desired: service.desired,
        version: service.version.clone(),
        image: container.and_then(|container| container.image.clone()),
        restarts: seen.restarts(&service.name),
        cpu: amount(&resources, "cpu"),
        memory: amount(&resources, "memory"),
        gauges: seen.gauges.get(&service.name).cloned().unwrap_or_default(),
        canary: service.canary.clone(),
    }
}

fn of_store(shop: &str, store: &shopkeeper_operator::crd::StoreStatus, seen: &Seen) -> Store {
    let embedded = store.mode == Some(StoreMode::Embedded);
    let volume = embedded.then(|| names::volume(&names::component(shop, &store.name)));
    Store {
        name: store.name.clone(),
        mode: store.mode.map(mode).unwrap_or_default(),
        ready: store.ready,
        volume: volume.and_then(|name| seen.volume(&name)),
        image: seen.container(&store.name).and_then(|container| container.image.clone()),
        restarts: seen.restarts(&store.name),
    }
}

/// As it is written in the status.
fn mode(mode: StoreMode) -> String {
    format!("{mode:?}")
}

/// What is kept free, and the limit where there is another one: `24Mi/32Mi`.
fn amount(resources: &ResourceRequirements, key: &str) -> Option<String> {
    let request = resources.requests.as_ref().and_then(|amounts| amounts.get(key));
    let limit = resources.limits.as_ref().and_then(|amounts| amounts.get(key));
    match (request.or(limit), limit) {
        (Some(request), Some(limit)) if request != limit => Some(format!("{}/{}", request.0, limit.0)),
        (found, _) => found.map(|amount| amount.0.clone()),
    }
}

fn is_of(found: &impl Resource, component: &str) -> bool {
    found.labels().get(names::COMPONENT_LABEL).is_some_and(|label| label == component)
}

fn happened(event: &Event, known: &BTreeSet<(&str, String)>) -> Option<Happened> {
    let about = &event.involved_object;
    let (kind, name) = (about.kind.as_deref()?, about.name.clone()?);
    if !known.contains(&(kind, name.clone())) {
        return None;
    }
    let repeated = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    Some(Happened {
        at: repeated.or(last).or(first).or_else(|| event.creation_timestamp().map(|time| time.0)),
        kind: event.type_.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        object: format!("{kind} {name}"),
        message: event.message.clone().unwrap_or_default(),
    })
}
