//! Pure: what a reconcile of a changed Shop would do, for people to read before it happens.
//!
//! The same steps as in a reconcile (`controller`), without those that write, and without the replica that a store lent
//! (`controller/room.rs`). Credentials that do not exist yet are dummies.
//! Only [`find_taken`] asks the cluster: whether a name that is to be new is somebody else's.

mod differences;
mod fate;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::mem;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Resource, ResourceExt};
use ring::rand::SecureRandom;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::differences::{Difference, differences};
pub use self::taken::find_taken;
use crate::apply::ownership::{is_foreign, is_labelled, other_controller, owns};
use crate::build::build;
use crate::crd::Shop;
use crate::credentials::{self, Credentials};
use crate::objects::{Desired, Objects};
use crate::observe::{Child, Observed};
use crate::rollback::{self, Choice};
use crate::rollout::{self, Rollout, obsolete_secrets};
use crate::settings::Settings;
use crate::validate::{Invalid, ValidShop, validate};
use crate::{canary, identities, names, retention};

/// Kinds that may have to wait.
const WAITING: [&str; 5] = ["StatefulSet", "Cluster", "RabbitmqCluster", "Job", "Deployment"];

/// What a plan is made from.
pub struct Facts<'a, S> {
    /// The Shop as it would be, with defaults.
    pub shop: &'a Shop,
    /// The Shop as it is.
    pub before: Option<&'a Shop>,
    /// All Shops that are known.
    pub others: &'a [S],
    /// The settings of the operator that looks after it.
    pub settings: &'a Settings,
    /// The time of the plan.
    pub now: Timestamp,
    /// For certificates that are due.
    pub random: &'a dyn SecureRandom,
}

/// What would happen to one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What would happen.
    #[serde(flatten)]
    pub action: Action,
    /// Whether it has to wait for stores or migrations, for pods of before to go, for another route, for data to go with the Shop, or
    /// for a sleeping Shop to wake.
    pub later: bool,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Create,
    /// It gets other fields.
    Change {
        /// Which ones. Values of Secrets are hidden.
        fields: Vec<Difference>,
    },
    /// It is removed.
    Delete,
    /// Nothing: an object of somebody else has its name, or somebody else controls it, and the operator goes no further until that
    /// one is gone.
    Taken,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Shop that was deleted is still being collected.
    #[error("a deleted Shop of this name is still being collected: {0}; try again when it is gone")]
    Leaving(String),
    /// The Shop is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The Secret with the credentials is not the Shop's, or it or a part of it is gone.
    #[error(transparent)]
    Unfit(#[from] credentials::Unfit),
    /// The credentials that are there cannot be used.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// There are no certificates.
    #[error(transparent)]
    Identities(#[from] identities::Error),
    /// It is not known whether a name is taken.
    #[error("looking for {kind} {name}: {source}")]
    LookUp {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// An object could not be written as JSON.
    #[error("encoding an object: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Tells what the operator would do for a Shop, in the order in which it would.
pub fn plan<S: AsRef<Shop>>(facts: &Facts<'_, S>, observed: Observed) -> Result<Vec<Change>, Error> {
    let of_data: Vec<Change> = retention::changes(facts.shop, &observed).into_iter().map(Change::from).collect();
    if facts.shop.spec.lifecycle.paused {
        return Ok(of_data);
    }
    if let Some(leftover) = observed.leftover(facts.shop) {
        return Err(Error::Leaving(leftover));
    }
    let Observed { objects: live, credentials, pods, ingress_classes, stores, measured, volume_claims } = observed;
    let found = credentials::judge(credentials, facts.shop, &volume_claims, &live.secrets)?;
    let mut credentials = Credentials::foreseen(found.as_ref())?;
    if found.is_some() {
        let authorities = credentials.mesh_authorities();
        let identities = identities::renew(authorities, facts.shop, &live.secrets, &pods, facts.now, facts.random)?;
        credentials = credentials.with(identities);
    }
    let valid = |shop| validate(shop, facts.others, facts.settings, credentials.clone(), &stores);
    // A Shop that was stored before a rule existed is no reason not to plan the one that keeps it.
    let before = facts.before.and_then(|before| valid(before).ok()).map(|before| build(&before));
    let seen = canary::Facts { live: &live, pods: &pods, measured: &measured, now: facts.now };
    let (wanted, _) = canary::decide(valid(facts.shop)?, facts.shop, &seen);
    let Choice { mut shop, objects, .. } = rollback::choose(wanted, facts.shop, &live, facts.now);
    let Rollout { objects, held, handovers, .. } =
        rollout::plan(&shop, objects, &live, &pods, &ingress_classes, facts.now);
    // Pods of canaries that ended go, and so does what policies know of them.
    shop.services.iter_mut().for_each(|service| service.has_canary_pods = false);
    let ways = names_of(&objects.services).chain(names_of(&objects.ingresses)).chain(names_of(&objects.http_routes));
    let (ways, policies, told) = (ways.collect(), objects.network_policies, of_data.len());
    let meanwhile = meanwhile(objects.deployments, &live.deployments, &held, &handovers);
    let mut changes = Changes { shop: &shop, held, ways, policies, meanwhile, told, all: of_data };
    if found.is_none() {
        changes.add("Secret", names::credentials(&shop.name), Action::Create);
    }
    changes.collect(&live, before, build(&shop))?;
    Ok(changes.all)
}

struct Changes<'a> {
    shop: &'a ValidShop,
    held: BTreeSet<String>,
    /// Kinds and names of routes and of what they lead to. Those of before are among them as long as they have to stay.
    ways: BTreeSet<(String, String)>,
    /// Policies that apply now.
    policies: Vec<NetworkPolicy>,
    /// Deployments whose turn has not come, as they are until then.
    meanwhile: Vec<Deployment>,
    /// So many changes are about what becomes of data.
    told: usize,
    all: Vec<Change>,
}

impl Changes<'_> {
    /// Kind by kind, as `apply` goes through them.
    fn collect<Live>(
        &mut self,
        live: &Objects<Live>,
        before: Option<Objects<Desired>>,
        wanted: Objects<Desired>,
    ) -> Result<(), Error> {
        let obsolete: Vec<Secret> = obsolete_secrets(self.shop, &wanted, &live.secrets).into_iter().cloned().collect();
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
        } = wanted;
        let before = before.unwrap_or_default();
        self.compare(&live.service_accounts, &before.service_accounts, &service_accounts)?;
        self.compare(&live.secrets, &before.secrets, &secrets)?;
        self.compare(&live.config_maps, &before.config_maps, &config_maps)?;
        self.compare(&live.services, &before.services, &services)?;
        self.compare_policies(&live.network_policies, &before.network_policies, &network_policies)?;
        self.compare(&live.stateful_sets, &before.stateful_sets, &stateful_sets)?;
        self.compare(&live.postgres_clusters, &before.postgres_clusters, &postgres_clusters)?;
        self.compare(&live.rabbitmq_clusters, &before.rabbitmq_clusters, &rabbitmq_clusters)?;
        self.compare(&live.jobs, &before.jobs, &jobs)?;
        self.compare_deployments(&live.deployments, &before.deployments, &deployments)?;
        self.compare(
            &live.horizontal_pod_autoscalers,
            &before.horizontal_pod_autoscalers,
            &horizontal_pod_autoscalers,
        )?;
        self.compare(&live.pod_disruption_budgets, &before.pod_disruption_budgets, &pod_disruption_budgets)?;
        self.compare(&live.ingresses, &before.ingresses, &ingresses)?;
        self.compare(&live.http_routes, &before.http_routes, &http_routes)?;
        // Clusters of other operators are never pruned.
        self.prune(&live.service_accounts, &service_accounts);
        self.prune(&obsolete, &[]);
        self.prune(&live.config_maps, &config_maps);
        self.prune(&live.services, &services);
        self.prune(&live.network_policies, &network_policies);
        self.prune(&live.stateful_sets, &stateful_sets);
        self.prune(&live.jobs, &jobs);
        self.prune(&live.deployments, &deployments);
        self.prune(&live.horizontal_pod_autoscalers, &horizontal_pod_autoscalers);
        self.prune(&live.pod_disruption_budgets, &pod_disruption_budgets);
        self.prune(&live.ingresses, &ingresses);
        self.prune(&live.http_routes, &http_routes);
        Ok(())
    }

    fn compare<K: Child>(&mut self, live: &[K], before: &[K], wanted: &[K]) -> Result<(), Error> {
        for object in wanted {
            let name = object.name_any();
            let Some(found) = live.iter().find(|found| found.name_any() == name) else {
                self.add(&K::kind(&()), name, Action::Create);
                continue;
            };
            let is_foreign = is_foreign(&self.shop.name, &self.shop.owner.uid, found);
            if is_foreign || other_controller(object, found).is_some() {
                self.add(&K::kind(&()), name, Action::Taken);
                continue;
            }
            let before = before.iter().find(|before| before.name_any() == name);
            let mut fields = changed(found, before, object)?;
            fields.retain(|field| !self.is_told(&K::kind(&()), &name, field));
            if K::kind(&()) == "Secret" {
                fields.iter_mut().for_each(hide);
            }
            if !fields.is_empty() {
                self.add(&K::kind(&()), name, Action::Change { fields });
            }
        }
        Ok(())
    }

    /// What pods of before need goes from a policy when they are gone.
    fn compare_policies(
        &mut self,
        live: &[NetworkPolicy],
        before: &[NetworkPolicy],
        wanted: &[NetworkPolicy],
    ) -> Result<(), Error> {
        let now = mem::take(&mut self.policies);
        self.compare(live, before, &now)?;
        for object in wanted {
            let name = object.name_any();
            let named = |found: &&NetworkPolicy| found.name_any() == name;
            let (found, before) = match now.iter().find(named) {
                Some(now) => (Some(now), Some(now)),
                None => (live.iter().find(named), before.iter().find(named)),
            };
            let Some(found) = found else { continue };
            let fields = changed(found, before, object)?;
            if !fields.is_empty() {
                let kind = NetworkPolicy::kind(&()).into_owned();
                self.all.push(Change { kind, name, action: Action::Change { fields }, later: true });
            }
        }
        Ok(())
    }

    /// What waits for its turn may lose its pods until then, get them back, or be made as it was before.
    fn compare_deployments(
        &mut self,
        live: &[Deployment],
        before: &[Deployment],
        wanted: &[Deployment],
    ) -> Result<(), Error> {
        let (meanwhile, held) = (mem::take(&mut self.meanwhile), mem::take(&mut self.held));
        self.compare(live, before, &meanwhile)?;
        self.held = held;
        let others = live.iter().filter(|found| meanwhile.iter().all(|other| other.name_any() != found.name_any()));
        let there: Vec<Deployment> = others.chain(&meanwhile).cloned().collect();
        self.compare(&there, before, wanted)
    }

    /// Whether it was changed already by what becomes of data, which comes first.
    fn is_told(&self, kind: &str, name: &str, field: &Difference) -> bool {
        let of_data = self.all.iter().take(self.told);
        let mut before = of_data.filter(|change| change.kind == kind && change.name == name);
        before.any(|change| match &change.action {
            Action::Change { fields } => fields.iter().any(|told| field.path.starts_with(&told.path)),
            Action::Create | Action::Delete | Action::Taken => false,
        })
    }

    fn prune<K: Child>(&mut self, live: &[K], wanted: &[K]) {
        let shop = self.shop;
        let ours = |found: &&K| is_labelled(&shop.name, *found) && owns(&shop.owner.uid, *found);
        let unwanted = |found: &&K| !wanted.iter().any(|wanted| wanted.name_any() == found.name_any());
        for found in live.iter().filter(ours).filter(unwanted) {
            self.add(&K::kind(&()), found.name_any(), Action::Delete);
        }
    }

    fn add(&mut self, kind: &str, name: String, action: Action) {
        // The Services of what waits have the same names, and do not wait. Of Secrets only those wait that are to go.
        let waits = WAITING.contains(&kind) || (kind == "Secret" && action == Action::Delete);
        let way = (kind.to_owned(), name);
        let stays = action == Action::Delete && self.ways.contains(&way);
        let (kind, name) = way;
        let later = stays || (waits && self.held.contains(&name));
        self.all.push(Change { kind, name, action, later });
    }
}

/// Deployments that are held and change all the same: those that are applied as they were before, and those with another number
/// of pods.
fn meanwhile(
    applied: Vec<Deployment>,
    live: &[Deployment],
    held: &BTreeSet<String>,
    numbers: &BTreeMap<String, i32>,
) -> Vec<Deployment> {
    let names: BTreeSet<String> = applied.iter().map(ResourceExt::name_any).collect();
    let resized = live.iter().filter(|found| !names.contains(&found.name_any())).filter_map(|found| {
        let mut found = found.clone();
        found.spec.as_mut()?.replicas = Some(*numbers.get(&found.name_any())?);
        Some(found)
    });
    resized.chain(applied).filter(|deployment| held.contains(&deployment.name_any())).collect()
}

fn changed<K: Serialize>(found: &K, before: Option<&K>, wanted: &K) -> serde_json::Result<Vec<Difference>> {
    let before = before.map(serde_json::to_value).transpose()?.unwrap_or_default();
    Ok(differences(&serde_json::to_value(found)?, &before, &serde_json::to_value(wanted)?))
}

fn names_of<K: Child>(objects: &[K]) -> impl Iterator<Item = (String, String)> {
    objects.iter().map(|object| (K::kind(&()).into_owned(), object.name_any()))
}

/// Says that a value of a Secret differs, and not what it is.
fn hide(field: &mut Difference) {
    if field.path.starts_with("data") {
        let hidden = |value: &mut Value| *value = json!("(hidden)");
        field.old.as_mut().map(hidden);
        field.new.as_mut().map(hidden);
    }
}
