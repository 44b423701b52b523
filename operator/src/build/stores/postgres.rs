//! PostgreSQL. Databases and roles are made by the migrations of the services that use them.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts, certificate_file, config_volume};
use crate::build::pod::{
    every, exec_probe, mount, read_only_mount, scratch, secret_variable, store_resources, tcp_probe, variable,
};
use crate::build::{Inputs, component_name, short_hash, strings};
use crate::catalog::POSTGRES;
use crate::identities::{CERTIFICATE, KEY};
use crate::stores::Store;

/// The user that may do everything.
pub(crate) const SUPERUSER: &str = "postgres";
/// Who may connect how, in its `ConfigMap`.
pub(crate) const HBA_FILE: &str = "pg_hba.conf";
/// Over the network with encryption only; the image's first start uses the socket.
pub(crate) const HBA: &str = "local all all trust\nhostssl all all all scram-sha-256\n";

const CONFIG_FOLDER: &str = "/etc/postgresql";
const VOLUME_FOLDER: &str = "/var/lib/postgresql/data";
/// PostgreSQL wants its folder to itself with mode 0700, which the root of a volume with an fsGroup never has.
const DATA_FOLDER: &str = "/var/lib/postgresql/data/pgdata";

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.postgres else { return None };
    // Over TCP: while the first start prepares the cluster, the server listens on its socket only.
    let ask = || exec_probe(strings(["pg_isready", "-h", "127.0.0.1", "-U", SUPERUSER]));
    let mut mounts = vec![mount(DATA_VOLUME, VOLUME_FOLDER), mount("run", "/var/run/postgresql"), mount("tmp", "/tmp")];
    let mut volumes = vec![scratch("run"), scratch("tmp")];
    let mut args = strings(["-c", "max_connections=200", "-c", "shared_buffers=64MB"]);
    if store.certificate.is_some() {
        args.extend(encryption());
        mounts.push(read_only_mount("config", CONFIG_FOLDER));
        volumes.push(config_volume("config", component_name(shop, POSTGRES)));
    }
    let container = Container {
        name: POSTGRES.to_owned(),
        image: Some(store.image.clone()),
        args: Some(args),
        env: Some(vec![
            variable("PGDATA", DATA_FOLDER),
            secret_variable("POSTGRES_PASSWORD", component_name(shop, POSTGRES), "password"),
        ]),
        ports: Some(vec![super::port("postgres", 5432)]),
        startup_probe: Some(every(1, 300, ask())),
        readiness_probe: Some(every(10, 3, ask())),
        liveness_probe: Some(every(20, 6, tcp_probe("postgres"))),
        resources: Some(store_resources("50m", "128Mi", "512Mi")),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    // The password is read by the first start only.
    let reads = store.certificate.is_some().then(|| short_hash(HBA.as_bytes()));
    Some(super::stateful_set(inputs, Parts { component: POSTGRES, store, inputs: reads, container, volumes }))
}

fn encryption() -> impl Iterator<Item = String> {
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate_file(CERTIFICATE)),
        format!("ssl_key_file={}", certificate_file(KEY)),
        format!("hba_file={CONFIG_FOLDER}/{HBA_FILE}"),
    ];
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting])
}
