//! RabbitMQ. Users and permissions come from a definitions file; services declare their exchanges and queues.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts, certificate_file, config_volume, secret_volume};
use crate::build::pod::{every, mount, read_only_mount, scratch, store_resources, tcp_probe, variable};
use crate::build::secret::DEFINITIONS_FILE;
use crate::build::{Inputs, component_name};
use crate::catalog::{RABBITMQ, store_port};
use crate::identities::{AUTHORITY, CERTIFICATE, KEY};
use crate::stores::{Embedded, Store};

/// The configuration file in its `ConfigMap`.
pub(crate) const CONFIG_FILE: &str = "10-shop.conf";

const CONFIG_FOLDER: &str = "/etc/rabbitmq/conf.d";
/// Where the file with users and permissions is.
pub(super) const DEFINITIONS_FOLDER: &str = "/etc/rabbitmq-definitions";
/// The Erlang cookie must be readable by its owner alone; on the volume the fsGroup would open it to the group.
const HOME: &str = "/var/lib/rabbitmq-home";

/// The largest message in bytes: an event has about a thousand, and a consumer holds 64 of them at once.
pub(super) const LARGEST_MESSAGE: u32 = 1024 * 1024;

/// Text of the configuration file.
pub(crate) fn config(store: &Embedded) -> String {
    let encryption = store.certificate.is_some().then(encryption).unwrap_or_default();
    format!(
        "load_definitions = {DEFINITIONS_FOLDER}/{DEFINITIONS_FILE}\nlog.console = true\n\
         max_message_size = {LARGEST_MESSAGE}\nvm_memory_high_watermark.absolute = 320MiB\n\
         disk_free_limit.absolute = 100MB\n{encryption}"
    )
}

fn encryption() -> String {
    let [authority, certificate, key] = [AUTHORITY, CERTIFICATE, KEY].map(certificate_file);
    let port = store_port(RABBITMQ, true);
    format!(
        "listeners.tcp = none\nlisteners.ssl.default = {port}\nssl_options.cacertfile = {authority}\n\
         ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\nssl_options.verify = verify_none\n\
         ssl_options.fail_if_no_peer_cert = false\n"
    )
}

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.rabbitmq else { return None };
    let name = component_name(shop, RABBITMQ);
    let container = Container {
        name: RABBITMQ.to_owned(),
        image: Some(store.image.clone()),
        env: Some(vec![variable("HOME", HOME)]),
        ports: Some(vec![super::port("amqp", shop.rabbitmq.port(RABBITMQ))]),
        // The listener opens last, after the definitions; rabbitmq-diagnostics would start a second Erlang VM each time.
        startup_probe: Some(every(2, 150, tcp_probe("amqp"))),
        readiness_probe: Some(every(10, 3, tcp_probe("amqp"))),
        liveness_probe: Some(every(20, 6, tcp_probe("amqp"))),
        resources: Some(store_resources("100m", "192Mi", "640Mi")),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, "/var/lib/rabbitmq"),
            mount("home", HOME),
            mount("log", "/var/log/rabbitmq"),
            mount("tmp", "/tmp"),
            read_only_mount("config", CONFIG_FOLDER),
            read_only_mount("definitions", DEFINITIONS_FOLDER),
        ]),
        ..Container::default()
    };
    // The definitions are read at the start only: new users mean a restart, during which events wait in their outboxes.
    let reads = inputs.hash(std::slice::from_ref(&name));
    let volumes = vec![
        scratch("home"),
        scratch("log"),
        scratch("tmp"),
        config_volume("config", name.clone()),
        secret_volume("definitions", name),
    ];
    Some(super::stateful_set(inputs, Parts { component: RABBITMQ, store, inputs: Some(reads), container, volumes }))
}
