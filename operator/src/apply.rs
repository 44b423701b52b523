//! IO out: one generic server-side apply for every kind, and the pruning of what is no longer wanted.
//!
//! A request is sent only where the cluster differs from the wanted state, so a steady Shop costs no write. What differs
//! is found in two ways, because each misses something: the hash of what was applied last (a field that was removed from
//! the wanted state), and the live object itself (a field that somebody changed).

pub(crate) mod compare;
pub(crate) mod ownership;

use std::collections::BTreeSet;
use std::marker::PhantomData;

use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use self::ownership::{is_foreign, is_labelled, other_controller, owns};
use crate::build::short_hash;
use crate::names;
use crate::objects::{Applied, Live, Objects};
use crate::observe::Child;
use crate::rollout::Rollout;
use crate::validate::ValidShop;

/// Something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no.
    #[error("{verb} {kind} {name}: {source}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// Somebody else made an object of a name that the Shop needs.
    #[error("{kind} {name} exists and does not belong to this Shop; rename the Shop or delete that object")]
    Foreign {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Somebody else became the controller of an object that the Shop needs.
    #[error("{kind} {name} is controlled by {owner}, and can have one controller; take that owner away from it")]
    Controlled {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Kind and name of who controls it.
        owner: String,
    },
    /// Between reading and writing another object took the name, or none has it any more.
    #[error("{kind} {name} is not the one that was read")]
    Replaced {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object could not be written as JSON.
    #[error("encoding an object: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Makes the cluster look like the rollout.
pub async fn apply(
    client: &Client,
    shop: &ValidShop,
    rollout: Rollout,
    mut live: Objects<Live>,
) -> Result<Objects<Applied>, Error> {
    let Rollout { objects, held, former_route: _, handovers, migrations: _ } = rollout;
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
    let writer = Writer { client, shop, held: &held };
    for found in &mut live.deployments {
        if let Some(replicas) = handovers.get(&found.name_any()) {
            *found = writer.hand_over(found, *replicas).await?;
        }
    }
    // What pods mount or run as comes before the pods, the route comes last.
    Ok(Objects {
        service_accounts: writer.converge(live.service_accounts, service_accounts).await?,
        secrets: writer.converge(live.secrets, secrets).await?,
        config_maps: writer.converge(live.config_maps, config_maps).await?,
        services: writer.converge(live.services, services).await?,
        // Before the pods they are about, which need their stores from the first moment.
        network_policies: writer.converge(live.network_policies, network_policies).await?,
        stateful_sets: writer.converge(live.stateful_sets, stateful_sets).await?,
        postgres_clusters: writer.converge(live.postgres_clusters, postgres_clusters).await?,
        rabbitmq_clusters: writer.converge(live.rabbitmq_clusters, rabbitmq_clusters).await?,
        jobs: writer.converge(live.jobs, jobs).await?,
        deployments: writer.converge(live.deployments, deployments).await?,
        horizontal_pod_autoscalers: writer
            .converge(live.horizontal_pod_autoscalers, horizontal_pod_autoscalers)
            .await?,
        pod_disruption_budgets: writer.converge(live.pod_disruption_budgets, pod_disruption_budgets).await?,
        ingresses: writer.converge(live.ingresses, ingresses).await?,
        http_routes: writer.converge(live.http_routes, http_routes).await?,
        stage: PhantomData,
    })
}

/// Changes fields of an object as it was read, and nothing else.
pub async fn amend<K: Child>(client: &Client, found: &K, mut change: Value) -> Result<K, Error> {
    let (name, namespace) = (found.name_any(), found.namespace().unwrap_or_default());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    change["metadata"]["uid"] = json!(found.uid());
    change["metadata"]["resourceVersion"] = json!(found.resource_version());
    let params = PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() };
    let outcome = api.patch(&name, &params, &Patch::Merge(change)).await;
    let written = outcome.map_err(|source| failed::<K>("changing", &name, source))?;
    tracing::info!(k8s.kind = %K::kind(&()), k8s.name = name, "changed");
    Ok(written)
}

/// An object as it is now, if it is still there.
pub async fn as_it_is<K: Child>(client: &Client, found: &K) -> Result<Option<K>, Error> {
    let (name, namespace) = (found.name_any(), found.namespace().unwrap_or_default());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let there = api.get_opt(&name).await.map_err(|source| failed::<K>("reading", &name, source))?;
    Ok(there.filter(|there| there.uid() == found.uid()))
}

struct Writer<'a> {
    client: &'a Client,
    shop: &'a ValidShop,
    held: &'a BTreeSet<String>,
}

impl Writer<'_> {
    fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.shop.namespace)
    }

    /// Applies what is wanted, deletes what is not, and answers with what is there afterwards.
    async fn converge<K: Child>(&self, live: Vec<K>, desired: Vec<K>) -> Result<Vec<K>, Error> {
        let mut applied = self.apply_all(&live, desired).await?;
        let wanted: BTreeSet<String> = applied.iter().map(ResourceExt::name_any).collect();
        for found in live {
            let name = found.name_any();
            if wanted.contains(&name) {
                continue;
            }
            if self.stays::<K>(&name) {
                applied.push(found);
            } else if is_labelled(&self.shop.name, &found) && owns(&self.shop.owner.uid, &found) {
                // Both, or it stays: labels are copied around too easily, and a Secret was found by its name alone.
                self.delete(&found).await?;
            }
        }
        Ok(applied)
    }

    /// Whether what is not applied is kept. A held Deployment keeps its autoscaler, which has its name, but not while it sleeps.
    fn stays<K: Child>(&self, name: &str) -> bool {
        let sleeps = self.shop.hibernated && K::kind(&()) == HorizontalPodAutoscaler::KIND;
        self.held.contains(name) && !sleeps
    }

    async fn apply_all<K: Child>(&self, live: &[K], desired: Vec<K>) -> Result<Vec<K>, Error> {
        let mut applied = Vec::with_capacity(desired.len());
        for object in desired {
            let name = object.name_any();
            let wanted = stamped(serde_json::to_value(&object)?, fingerprint(&object)?);
            let found = live.iter().find(|found| found.name_any() == name);
            let current = match found {
                Some(found) if compare::contains(&serde_json::to_value(found)?, &wanted) => found.clone(),
                Some(found) => {
                    self.refuse_foreign(found, &object)?;
                    self.patch(&name, found.uid(), wanted).await?
                }
                None => {
                    // What was not found by label may still be there without our labels.
                    let found = self.api::<K>().get_metadata_opt(&name).await;
                    let found = found.map_err(|source| failed::<K>("reading", &name, source))?;
                    found.iter().try_for_each(|found| self.refuse_foreign(found, &object))?;
                    self.patch(&name, found.and_then(|found| found.uid()), wanted).await?
                }
            };
            applied.push(current);
        }
        Ok(applied)
    }

    async fn patch<K: Child>(&self, name: &str, uid: Option<String>, mut wanted: Value) -> Result<K, Error> {
        if let Some(uid) = uid {
            wanted["metadata"]["uid"] = Value::String(uid);
        }
        // Forced: a field that somebody changed with kubectl belongs to them, and comes back to the operator.
        let params = PatchParams::apply(names::MANAGER).force();
        let outcome = self.api::<K>().patch(name, &params, &Patch::Apply(wanted)).await;
        let applied = outcome.map_err(|source| failed::<K>("applying", name, source))?;
        tracing::info!(k8s.kind = %K::kind(&()), k8s.name = name, "applied");
        Ok(applied)
    }

    /// Makes the second manager an owner of the number of pods, so that the field stays when ours leaves it out, and the rest of
    /// the Deployment stays when only the number changes.
    async fn hand_over(&self, found: &Deployment, replicas: i32) -> Result<Deployment, Error> {
        let name = found.name_any();
        let params = PatchParams::apply(names::SCALING_MANAGER).force();
        let number = json!({
            "apiVersion": Deployment::API_VERSION, "kind": Deployment::KIND,
            "metadata": {"name": name, "uid": found.uid()}, "spec": {"replicas": replicas},
        });
        let outcome = self.api::<Deployment>().patch(&name, &params, &Patch::Apply(number)).await;
        let written = outcome.map_err(|source| failed::<Deployment>("handing over", &name, source))?;
        tracing::info!(k8s.name = name, replicas, "the number of pods changes hands");
        Ok(written)
    }

    fn refuse_foreign<K: Resource<DynamicType = ()>>(&self, found: &K, wanted: &impl ResourceExt) -> Result<(), Error> {
        let (kind, name) = (K::kind(&()).into_owned(), found.name_any());
        if is_foreign(&self.shop.name, &self.shop.owner.uid, found) {
            return Err(Error::Foreign { kind, name });
        }
        match other_controller(wanted, found) {
            Some(owner) => Err(Error::Controlled { kind, name, owner: format!("{} {}", owner.kind, owner.name) }),
            None => Ok(()),
        }
    }

    async fn delete<K: Child>(&self, found: &K) -> Result<(), Error> {
        let name = found.name_any();
        let same = Preconditions { uid: found.uid(), resource_version: None };
        let params = DeleteParams::background().preconditions(same);
        match self.api::<K>().delete(&name, &params).await {
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(source) => Err(failed::<K>("deleting", &name, source)),
            Ok(_) => {
                tracing::info!(k8s.kind = %K::kind(&()), k8s.name = name, "pruned");
                Ok(())
            }
        }
    }
}

fn failed<K: Child>(verb: &'static str, name: &str, source: kube::Error) -> Error {
    if is_of_another(&source) {
        return Error::Replaced { kind: K::kind(&()).into_owned(), name: name.to_owned() };
    }
    Error::Api { verb, kind: K::kind(&()).into_owned(), name: name.to_owned(), source: Box::new(source) }
}

/// What the API server says to a uid in an applied object: that it cannot change, or that nobody has it.
fn is_of_another(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_conflict() || causes.any(|cause| cause.field == "metadata.uid")
}

/// Tells one wanted state of an object from another; what was applied last is noted in the object.
pub fn fingerprint<K: Child>(wanted: &K) -> Result<String, serde_json::Error> {
    Ok(short_hash(serde_json::to_value(wanted)?.to_string().as_bytes()))
}

/// Notes in the object what is applied with it.
fn stamped(mut wanted: Value, fingerprint: String) -> Value {
    let metadata = wanted.as_object_mut().and_then(|object| object.get_mut("metadata"));
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations[names::APPLIED_ANNOTATION] = Value::String(fingerprint);
    }
    wanted
}
