//! MongoDB.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts};
use crate::build::pod::{every, mount, scratch, secret_variable, store_resources, tcp_probe};
use crate::build::{Inputs, component_name};
use crate::catalog::MONGODB;
use crate::stores::Store;

/// The user that the image makes at its first start.
pub(crate) const ROOT_USER: &str = "root";

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.mongodb else { return None };
    let secret = component_name(shop, MONGODB);
    let container = Container {
        name: MONGODB.to_owned(),
        image: Some(store.image.clone()),
        env: Some(vec![
            secret_variable("MONGO_INITDB_ROOT_USERNAME", secret.clone(), "username"),
            secret_variable("MONGO_INITDB_ROOT_PASSWORD", secret, "password"),
        ]),
        ports: Some(vec![super::port("mongodb", 27017)]),
        // While the first start makes the root user, the server listens on the loopback interface only.
        startup_probe: Some(every(1, 300, tcp_probe("mongodb"))),
        readiness_probe: Some(every(10, 3, tcp_probe("mongodb"))),
        liveness_probe: Some(every(20, 6, tcp_probe("mongodb"))),
        resources: Some(store_resources("50m", "192Mi", "768Mi")),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, "/data/db"),
            mount("config", "/data/configdb"),
            mount("tmp", "/tmp"),
        ]),
        ..Container::default()
    };
    let volumes = vec![scratch("config"), scratch("tmp")];
    let reads = inputs.hash(&[component_name(shop, MONGODB)]);
    Some(super::stateful_set(inputs, Parts { component: MONGODB, store, inputs: reads, container, volumes }))
}
