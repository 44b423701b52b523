//! IO in: everything on the cluster that a reconcile looks at, fetched at once.
//!
//! Lists by label, Secrets by name: the operator never asks for the right to list Secrets. Volumes by name too, because stores find
//! them by that and nothing else. Nothing is cached between reconciles, so the operator's memory does not grow with what Shops
//! consist of.

mod classes;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::IngressClass;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::classes::{class_in_use, default_class, named_classes};
use crate::apply::ownership::belongs_to_another;
use crate::canary::{self, Measurements};
use crate::catalog::STORES;
use crate::crd::Shop;
use crate::given;
use crate::objects::{Live, Objects};
use crate::stores::{self, Found};
use crate::{names, scrape};

/// Requests for single objects that run at the same time.
const AT_ONCE: usize = 4;

/// A namespaced kind that the operator makes.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

/// What is on the cluster for one Shop.
pub struct Observed {
    /// The objects that the operator made earlier.
    pub objects: Objects<Live>,
    /// The Secret with the generated values.
    pub credentials: Option<Secret>,
    /// The Shop's pods.
    pub pods: Vec<Pod>,
    /// The cluster's ingress classes.
    pub ingress_classes: Vec<IngressClass>,
    /// What is known about stores that are not embedded, and about ways into the cluster.
    pub stores: Found,
    /// What the pods of canaries measure.
    pub measured: Measurements,
    /// The volumes of the Shop's stores, whoever made them.
    pub volume_claims: Vec<PersistentVolumeClaim>,
}

/// Something could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {what}: {source}")]
pub struct Error {
    /// What could not be read.
    what: String,
    /// What the API server said.
    pub(crate) source: kube::Error,
}

/// The Shop as it is now, if it is still there.
pub async fn shop(client: &Client, shop: &Shop) -> Result<Option<Shop>, Error> {
    let api: Api<Shop> = Api::namespaced(client.clone(), &shop.namespace().unwrap_or_default());
    let found = api.get_opt(&shop.name_any()).await.map_err(|source| Error { what: "the Shop".to_owned(), source })?;
    Ok(found.filter(|found| found.uid() == shop.uid()))
}

/// Which ways into the cluster may be looked at: the operator may look at all of them, people often not.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Ingress classes, which belong to no namespace.
    pub ingress_classes: bool,
    /// Routes of the Gateway API, of which the usual roles know nothing.
    pub http_routes: bool,
}

/// Fetches what is on the cluster for a Shop.
pub async fn observe(client: &Client, shop: &Shop) -> Result<Observed, Error> {
    observe_with(client, shop, Sight { ingress_classes: true, http_routes: true }).await
}

/// The same for people. Where they may not look, the classes that are named are taken to be there, and routes not to be.
pub async fn observe_with(client: &Client, shop: &Shop, sight: Sight) -> Result<Observed, Error> {
    let reader = Reader { client, namespace: shop.namespace().unwrap_or_default(), shop: shop.name_any() };
    let (service_accounts, config_maps, services, stateful_sets) =
        futures::try_join!(reader.list(), reader.list(), reader.list(), reader.list())?;
    let (jobs, deployments, horizontal_pod_autoscalers) =
        futures::try_join!(reader.list(), reader.list(), reader.list())?;
    let (pod_disruption_budgets, network_policies, ingresses) =
        futures::try_join!(reader.list(), reader.list(), reader.list())?;
    let spec = &shop.spec;
    let (postgres_clusters, rabbitmq_clusters, http_routes, store_secrets) = futures::try_join!(
        reader.list_if_known(spec.postgres.cloud_native_pg.is_some()),
        reader.list_if_known(spec.rabbitmq.cluster_operator.is_some()),
        // Also where there is to be an Ingress: the route that was there before must go.
        reader.list_if_known(sight.http_routes),
        reader.named([stores::secret_names(shop), given::secret_names(shop)].concat()),
    )?;
    let (pods, volume_claims, ingress_classes, secrets, credentials, ingress_certificate) = futures::try_join!(
        reader.list(),
        reader.volume_claims(shop),
        reader.ingress_classes(sight.ingress_classes),
        reader.named(names::derived_secrets(&reader.shop)),
        reader.one(names::credentials(&reader.shop)),
        reader.ingress_certificate(shop),
    )?;
    let ingress_classes = ingress_classes.unwrap_or_else(|| named_classes(shop, &ingresses));
    let stores = Found {
        cloud_native_pg: postgres_clusters.is_some(),
        cluster_operator: rabbitmq_clusters.is_some(),
        gateway_api: http_routes.is_some(),
        default_class: default_class(&ingress_classes).or_else(|| class_in_use(&ingresses, &ingress_classes)),
        secrets: by_name(store_secrets),
        ingress_certificate,
    };
    let measured = scrape::measure(&pods, canary::analyzed(shop)).await;
    Ok(Observed {
        objects: Objects {
            service_accounts,
            secrets,
            config_maps,
            services,
            stateful_sets,
            postgres_clusters: postgres_clusters.unwrap_or_default(),
            rabbitmq_clusters: rabbitmq_clusters.unwrap_or_default(),
            jobs,
            deployments,
            horizontal_pod_autoscalers,
            pod_disruption_budgets,
            network_policies,
            ingresses,
            http_routes: http_routes.unwrap_or_default(),
            stage: PhantomData,
        },
        credentials,
        pods,
        ingress_classes,
        stores,
        measured,
        volume_claims,
    })
}

/// What the certificates of a Shop are renewed from, and those that somebody else renews.
pub struct Certificates {
    /// The Secret with the generated values, the authority among them.
    pub credentials: Option<Secret>,
    /// The Secrets with certificates.
    pub secrets: Vec<Secret>,
    /// The Shop's pods.
    pub pods: Vec<Pod>,
    /// The Secrets with somebody else's, and nothing else.
    pub given: Found,
}

/// Fetches them.
pub async fn certificates(client: &Client, shop: &Shop) -> Result<Certificates, Error> {
    let reader = Reader { client, namespace: shop.namespace().unwrap_or_default(), shop: shop.name_any() };
    let (credentials, secrets, pods, store_secrets, ingress_certificate) = futures::try_join!(
        reader.one(names::credentials(&reader.shop)),
        reader.named(names::certificates(&reader.shop)),
        reader.list(),
        reader.named(stores::secret_names(shop)),
        reader.ingress_certificate(shop),
    )?;
    let given = Found { secrets: by_name(store_secrets), ingress_certificate, ..Found::default() };
    Ok(Certificates { credentials, secrets, pods, given })
}

fn by_name(secrets: Vec<Secret>) -> BTreeMap<String, Secret> {
    secrets.into_iter().map(|secret| (secret.name_any(), secret)).collect()
}

struct Reader<'a> {
    client: &'a Client,
    namespace: String,
    shop: String,
}

impl Reader<'_> {
    async fn list<K: Child>(&self) -> Result<Vec<K>, Error> {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(&ListParams::default().labels(&names::of_shop(&self.shop))).await;
        let mut items = list.map_err(|source| Error { what: K::plural(&()).into_owned(), source })?.items;
        for item in &mut items {
            item.meta_mut().managed_fields = None;
        }
        Ok(items)
    }

    async fn volume_claims(&self, shop: &Shop) -> Result<Vec<PersistentVolumeClaim>, Error> {
        let names = STORES.map(|store| names::volume(&names::component(&self.shop, store)));
        let mut found: Vec<PersistentVolumeClaim> = self.named(names.into()).await?;
        found.retain(|claim| is_of_a_store(shop, claim));
        Ok(found)
    }

    async fn ingress_classes(&self, asked: bool) -> Result<Option<Vec<IngressClass>>, Error> {
        if !asked {
            return Ok(None);
        }
        let api: Api<IngressClass> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default()).await;
        list.map(|list| Some(list.items)).map_err(|source| Error { what: "ingressclasses".to_owned(), source })
    }

    /// Objects of a kind that only another operator knows; `None` where it is asked for and the cluster does not know it.
    async fn list_if_known<K: Child>(&self, asked: bool) -> Result<Option<Vec<K>>, Error> {
        if !asked {
            return Ok(Some(Vec::new()));
        }
        match self.list().await {
            // Of a group that it does not know at all the API server says so in plain text, without a reason.
            Err(Error { source: kube::Error::Api(status), .. }) if status.code == 404 => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    async fn named<K: Child>(&self, names: Vec<String>) -> Result<Vec<K>, Error> {
        let found = stream::iter(names).map(|name| self.one(name)).buffered(AT_ONCE);
        found.try_filter_map(|object| async { Ok(object) }).try_collect().await
    }

    async fn ingress_certificate(&self, shop: &Shop) -> Result<Option<Secret>, Error> {
        let name = shop.spec.ingress.tls.as_ref().and_then(|tls| tls.secret_name.clone());
        match name {
            Some(name) => self.one(name).await,
            None => Ok(None),
        }
    }

    async fn one<K: Child>(&self, name: String) -> Result<Option<K>, Error> {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let failed = |source| Error { what: format!("{} {name}", K::kind(&())), source };
        let mut found = api.get_opt(&name).await.map_err(failed)?;
        if let Some(object) = &mut found {
            object.meta_mut().managed_fields = None;
        }
        Ok(found)
    }
}

/// Whether a claim that has the name of a store's is one: an embedded store mounts it, whoever made it and however it is labelled.
/// Where the store is none of ours it is that of an earlier one, which has the labels of its template, or somebody else's.
fn is_of_a_store(shop: &Shop, claim: &PersistentVolumeClaim) -> bool {
    let (shop_name, name) = (shop.name_any(), claim.name_any());
    let store = STORES.into_iter().find(|store| names::volume(&names::component(&shop_name, store)) == name);
    store.is_some_and(|store| shop.spec.embedded(store).is_some() || is_of_a_shop(&shop_name, claim))
}

/// Whether a claim has the labels of the template by which a Shop of this name makes those of its stores.
fn is_of_a_shop(shop: &str, claim: &PersistentVolumeClaim) -> bool {
    let has =
        |wanted: BTreeMap<String, String>| wanted.iter().all(|(key, value)| claim.labels().get(key) == Some(value));
    STORES.into_iter().any(|store| has(names::selector(shop, store)))
}

impl Observed {
    /// An object of a deleted Shop of the same name that the garbage collector has not taken yet. Building on it would
    /// mean standing on ground that is about to go.
    #[must_use]
    pub fn leftover(&self, shop: &Shop) -> Option<String> {
        let uid = shop.uid().unwrap_or_default();
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
        } = &self.objects;
        first_of_another(service_accounts, &uid)
            .or_else(|| first_of_another(secrets, &uid))
            .or_else(|| first_of_another(config_maps, &uid))
            .or_else(|| first_of_another(services, &uid))
            .or_else(|| first_of_another(stateful_sets, &uid))
            .or_else(|| first_of_another(postgres_clusters, &uid))
            .or_else(|| first_of_another(rabbitmq_clusters, &uid))
            .or_else(|| first_of_another(jobs, &uid))
            .or_else(|| first_of_another(deployments, &uid))
            .or_else(|| first_of_another(horizontal_pod_autoscalers, &uid))
            .or_else(|| first_of_another(pod_disruption_budgets, &uid))
            .or_else(|| first_of_another(network_policies, &uid))
            .or_else(|| first_of_another(ingresses, &uid))
            .or_else(|| first_of_another(http_routes, &uid))
            .or_else(|| self.leaving_volume(&shop.name_any()))
    }

    /// A volume that is being deleted, or that belongs to a StatefulSet of a Shop which is gone. One that somebody deletes while a
    /// store of this Shop has it goes with the store's pod, and is made anew.
    fn leaving_volume(&self, shop: &str) -> Option<String> {
        let sets = &self.objects.stateful_sets;
        let live: Vec<Option<String>> = sets.iter().map(ResourceExt::uid).collect();
        let leaving = |claim: &&PersistentVolumeClaim| {
            let mut owners = claim.owner_references().iter().filter(|owner| owner.kind == StatefulSet::kind(&()));
            let in_use = sets.iter().any(|set| names::volume(&set.name_any()) == claim.name_any());
            (claim.metadata.deletion_timestamp.is_some() && !in_use)
                || (is_of_a_shop(shop, claim) && owners.any(|owner| !live.contains(&Some(owner.uid.clone()))))
        };
        let found = self.volume_claims.iter().find(leaving);
        found.map(|claim| format!("PersistentVolumeClaim {}", claim.name_any()))
    }
}

fn first_of_another<K: Child>(objects: &[K], uid: &str) -> Option<String> {
    let other = |object: &&K| belongs_to_another(uid, *object);
    objects.iter().find(other).map(|object| format!("{} {}", K::kind(&()), object.name_any()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::ShopSpec;

    #[test]
    fn a_volume_that_an_embedded_store_mounts_needs_no_labels_and_another_one_does() {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.name = Some("data-acorn-rabbitmq-0".to_owned());
        assert!(is_of_a_store(&shop, &claim));
        shop.spec.rabbitmq.embedded = None;
        assert!(!is_of_a_store(&shop, &claim), "other charts give their claims such names");
        claim.metadata.labels = Some(names::selector("acorn", "rabbitmq"));
        assert!(is_of_a_store(&shop, &claim), "an earlier Shop left it");
        claim.metadata.name = Some("data-acorn-squirrel-0".to_owned());
        assert!(!is_of_a_store(&shop, &claim));
    }
}
