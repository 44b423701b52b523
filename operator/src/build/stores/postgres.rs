//! PostgreSQL. Databases and roles are made by the migrations of the services that use them.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts};
use crate::build::pod::{every, exec_probe, mount, scratch, secret_variable, store_resources, tcp_probe, variable};
use crate::build::{Inputs, component_name, strings};
use crate::catalog::POSTGRES;
use crate::stores::Store;

const VOLUME_FOLDER: &str = "/var/lib/postgresql/data";
/// PostgreSQL wants its folder to itself with mode 0700, which the root of a volume with an fsGroup never has.
const DATA_FOLDER: &str = "/var/lib/postgresql/data/pgdata";

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.postgres else { return None };
    // Over TCP: while the first start prepares the cluster, the server listens on its socket only.
    let ask = || exec_probe(strings(["pg_isready", "-h", "127.0.0.1", "-U", "postgres"]));
    let container = Container {
        name: POSTGRES.to_owned(),
        image: Some(store.image.clone()),
        args: Some(strings(["-c", "max_connections=200", "-c", "shared_buffers=64MB"])),
        env: Some(vec![
            variable("PGDATA", DATA_FOLDER),
            secret_variable("POSTGRES_PASSWORD", component_name(shop, POSTGRES), "password"),
        ]),
        ports: Some(vec![super::port("postgres", 5432)]),
        startup_probe: Some(every(1, 300, ask())),
        readiness_probe: Some(every(10, 3, ask())),
        liveness_probe: Some(every(20, 6, tcp_probe("postgres"))),
        resources: Some(store_resources("50m", "128Mi", "512Mi")),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, VOLUME_FOLDER),
            mount("run", "/var/run/postgresql"),
            mount("tmp", "/tmp"),
        ]),
        ..Container::default()
    };
    let volumes = vec![scratch("run"), scratch("tmp")];
    let reads = inputs.hash(&[component_name(shop, POSTGRES)]);
    Some(super::stateful_set(inputs, Parts { component: POSTGRES, store, inputs: reads, container, volumes }))
}
