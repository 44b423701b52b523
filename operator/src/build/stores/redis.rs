//! Redis. Carts are data, so it writes an append-only file and refuses writes rather than forgetting.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts, certificate_file, config_volume, secret_volume};
use crate::build::pod::{
    self, Pod, every, exec_probe, mount, read_only_mount, scratch, secret_variable, store_resources, tcp_probe,
    variable,
};
use crate::build::secret::{passwords_key, redis_users_without_passwords};
use crate::build::{Inputs, addresses, component_name, meta, short_hash, strings};
use crate::catalog::{REDIS, store_port};
use crate::identities::{CERTIFICATE, KEY};
use crate::names;
use crate::stores::{Embedded, Store};
use crate::validate::{ValidShop, image_version};

/// The configuration file in its `ConfigMap`.
pub(crate) const CONFIG_FILE: &str = "redis.conf";
/// The file of users in its Secret.
pub(crate) const ACL_FILE: &str = "users.acl";
/// The user that may only tell the server about users.
pub(crate) const KEEPER_USER: &str = "keeper";
/// The key of its password in the Secret.
pub(crate) const KEEPER_PASSWORD: &str = "keeper-password";
/// The user that may only ask whether the server is there.
pub(crate) const PROBE_USER: &str = "probe";
/// The key of its passwords in the Secret, one a line.
pub(crate) const PROBE_PASSWORDS: &str = "probe-passwords";

const CONFIG_FOLDER: &str = "/etc/redis";
const ACL_FOLDER: &str = "/etc/redis-users";

/// Attempts after the first one to tell a running server about passwords.
const RETRIES: i32 = 2;

/// Text of the configuration file.
pub(crate) fn config(store: &Embedded) -> String {
    let encryption = store.certificate.is_some().then(encryption).unwrap_or_default();
    format!(
        "dir /data\nappendonly yes\nappendfsync everysec\nsave \"\"\naclfile {ACL_FOLDER}/{ACL_FILE}\n\
         maxmemory 192mb\nmaxmemory-policy noeviction\n{encryption}"
    )
}

fn encryption() -> String {
    let (port, [certificate, key]) = (store_port(REDIS, true), [CERTIFICATE, KEY].map(certificate_file));
    format!("port 0\ntls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-auth-clients no\n")
}

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.redis else { return None };
    let name = component_name(shop, REDIS);
    // It asks inside its own pod, where nobody is to be told from anybody else.
    let tls = if store.certificate.is_some() { " --tls --insecure" } else { "" };
    // The file and not the environment: a rotation replaces the password and not the pod. redis-cli ends well even when the
    // server says that it is still loading.
    let question = format!(
        "while read -r password; do REDISCLI_AUTH=$password redis-cli{tls} --no-auth-warning --user {PROBE_USER} ping \
         </dev/null | grep -q PONG && exit 0; done <{ACL_FOLDER}/{PROBE_PASSWORDS}; exit 1"
    );
    let ask = || exec_probe(vec!["sh".to_owned(), "-c".to_owned(), question.clone()]);
    let container = Container {
        name: REDIS.to_owned(),
        image: Some(store.image.clone()),
        args: Some(strings(["redis-server", "/etc/redis/redis.conf"])),
        ports: Some(vec![super::port("redis", 6379)]),
        startup_probe: Some(every(1, 300, ask())),
        readiness_probe: Some(every(10, 3, ask())),
        liveness_probe: Some(every(20, 6, tcp_probe("redis"))),
        resources: Some(store_resources("20m", "64Mi", "256Mi")),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, "/data"),
            mount("tmp", "/tmp"),
            read_only_mount("config", CONFIG_FOLDER),
            read_only_mount("users", ACL_FOLDER),
        ]),
        ..Container::default()
    };
    // Passwords that change are told to the running server, see `users_job`.
    let reads = short_hash(format!("{}{}", config(store), redis_users_without_passwords(shop)).as_bytes());
    let volumes = vec![scratch("tmp"), config_volume("config", name.clone()), secret_volume("users", name)];
    Some(super::stateful_set(inputs, Parts { component: REDIS, store, inputs: Some(reads), container, volumes }))
}

/// Tells the running server the passwords that its file has by now. A restart would cost carts their server for seconds, and
/// a connection that is open stays open.
pub(crate) fn users_job(shop: &ValidShop) -> Option<Job> {
    const SCRIPT: &str = r#"echo "$COMMANDS" | while read -r line; do
redis-cli -h "$HOST" $TLS --no-auth-warning --user "$KEEPER" $line </dev/null | grep -qx OK || exit 1; done"#;
    let Store::Embedded(store) = &shop.redis else { return None };
    let (key, host) = (passwords_key(shop)?, component_name(shop, REDIS));
    let (tls, volumes, mounts) = match &store.certificate {
        Some(_) => {
            let flags = format!("--tls --cacert {}", addresses::authority_path(REDIS));
            (flags, vec![addresses::volume(shop)], Some(vec![addresses::mount(REDIS)]))
        }
        None => (String::new(), Vec::new(), None),
    };
    let container = Container {
        name: "users".to_owned(),
        image: Some(store.image.clone()),
        command: Some(vec!["sh".to_owned(), "-c".to_owned(), SCRIPT.to_owned()]),
        env: Some(vec![
            variable("HOST", host.clone()),
            variable("TLS", tls),
            variable("KEEPER", KEEPER_USER),
            secret_variable("REDISCLI_AUTH", host.clone(), KEEPER_PASSWORD),
            secret_variable("COMMANDS", host.clone(), &key),
        ]),
        resources: Some(store_resources("20m", "16Mi", "64Mi")),
        volume_mounts: mounts,
        ..Container::default()
    };
    let version = image_version(&store.image);
    let mut template = pod::template(
        shop,
        Pod {
            component: REDIS,
            version: version.clone(),
            user: pod::STORE_USER,
            pull_policy: shop.store_pull_policy,
            inputs: None,
            container,
            volumes,
            grace_seconds: 30,
            restart_policy: Some("Never"),
        },
    );
    // The Service of the store selects its pods by these labels.
    if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.insert(names::COMPONENT_LABEL.to_owned(), names::REDIS_USERS.to_owned());
    }
    let identity = serde_json::to_vec(&template.spec).unwrap_or_default();
    Some(Job {
        metadata: meta::versioned(shop, REDIS, format!("{host}-users-{}", &short_hash(&identity)[..8]), &version),
        spec: Some(JobSpec { backoff_limit: Some(RETRIES), template, ..JobSpec::default() }),
        status: None,
    })
}
