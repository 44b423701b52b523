//! A RabbitMQ cluster that the RabbitMQ cluster operator runs, with the same file of users and permissions as the embedded
//! broker. RabbitMQ then makes no default user, so nobody may do everything.

use serde_json::json;

use super::rabbitmq::{DEFINITIONS_FOLDER, LARGEST_MESSAGE};
use crate::build::secret::DEFINITIONS_FILE;
use crate::build::{Inputs, component_name, meta};
use crate::catalog::RABBITMQ;
use crate::kinds::{RabbitmqCluster, RabbitmqClusterSpec, RabbitmqPersistence, RabbitmqSettings};
use crate::names;
use crate::stores::Store;

/// What the cluster operator is asked for; nothing where it would not be understood.
pub(crate) fn cluster(inputs: &Inputs<'_>) -> Option<RabbitmqCluster> {
    let shop = inputs.shop;
    let Store::ClusterOperator { wanted, installed: true } = &shop.rabbitmq else { return None };
    let name = component_name(shop, RABBITMQ);
    // Nodes read the definitions when they start, so other definitions are another template.
    let template = json!({
        "metadata": {"annotations": {names::INPUTS_ANNOTATION: inputs.hash(std::slice::from_ref(&name))}},
        "spec": {
            "containers": [{
                "name": "rabbitmq",
                "volumeMounts": [{"name": "definitions", "mountPath": DEFINITIONS_FOLDER, "readOnly": true}],
            }],
            "volumes": [{"name": "definitions", "secret": {"secretName": name}}],
        },
    });
    let spec = RabbitmqClusterSpec {
        replicas: if shop.hibernated { 0 } else { wanted.replicas },
        persistence: RabbitmqPersistence {
            storage: wanted.storage.clone(),
            storage_class_name: wanted.storage_class_name.clone(),
        },
        rabbitmq: RabbitmqSettings {
            additional_config: format!(
                "load_definitions = {DEFINITIONS_FOLDER}/{DEFINITIONS_FILE}\nmax_message_size = {LARGEST_MESSAGE}\n"
            ),
        },
        overrides: json!({"statefulSet": {"spec": {"template": template}}}),
    };
    Some(RabbitmqCluster { metadata: meta::of_data(shop, RABBITMQ, name), spec, status: None })
}
