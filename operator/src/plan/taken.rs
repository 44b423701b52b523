//! IO: which names of a plan somebody else's objects have. What was made for a Shop is found by its label, and so are they not.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource, ResourceExt};

use super::{Action, Change, Error};
use crate::apply::ownership::is_foreign;
use crate::crd::Shop;
use crate::kinds::{HttpRoute, PostgresCluster, RabbitmqCluster};

/// Names that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Looks up what is to be made, and says of what is somebody else's that it is [`Action::Taken`].
pub async fn find_taken(client: &Client, shop: &Shop, changes: Vec<Change>) -> Result<Vec<Change>, Error> {
    stream::iter(changes).map(|change| look_up(client, shop, change)).buffered(AT_ONCE).try_collect().await
}

async fn look_up(client: &Client, shop: &Shop, change: Change) -> Result<Change, Error> {
    let kind = kinds().into_iter().find(|kind| kind.kind == change.kind);
    let Some(kind) = kind.filter(|_| change.action == Action::Create) else { return Ok(change) };
    let namespace = shop.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
    let failed =
        |source| Error::LookUp { kind: change.kind.clone(), name: change.name.clone(), source: Box::new(source) };
    let found = match api.get_metadata_opt(&change.name).await {
        // Roles that know nothing of them are no reason to plan nothing.
        Err(kube::Error::Api(status)) if status.is_forbidden() && change.kind == HttpRoute::kind(&()) => None,
        found => found.map_err(failed)?,
    };
    let uid = shop.uid().unwrap_or_default();
    let taken = found.is_some_and(|found| is_foreign(&shop.name_any(), &uid, &found));
    Ok(if taken { Change { action: Action::Taken, ..change } } else { change })
}

fn kinds() -> [ApiResource; 14] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<PostgresCluster>(&()),
        ApiResource::erase::<RabbitmqCluster>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Ingress>(&()),
        ApiResource::erase::<HttpRoute>(&()),
    ]
}
