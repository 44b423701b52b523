//! Redis. Carts are data, so it writes an append-only file and refuses writes rather than forgetting.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts, config_volume, secret_volume};
use crate::build::pod::{
    every, exec_probe, mount, read_only_mount, scratch, secret_variable, store_resources, tcp_probe,
};
use crate::build::{Inputs, component_name, strings};
use crate::catalog::REDIS;

/// The configuration file in its `ConfigMap`.
pub(crate) const CONFIG_FILE: &str = "redis.conf";
/// The file of users in its Secret.
pub(crate) const ACL_FILE: &str = "users.acl";
/// The user that may only ask whether the server is there.
pub(crate) const PROBE_USER: &str = "probe";

const CONFIG_FOLDER: &str = "/etc/redis";
const ACL_FOLDER: &str = "/etc/redis-users";

/// Text of the configuration file.
pub(crate) fn config() -> String {
    format!(
        "dir /data\nappendonly yes\nappendfsync everysec\nsave \"\"\naclfile {ACL_FOLDER}/{ACL_FILE}\n\
         maxmemory 192mb\nmaxmemory-policy noeviction\n"
    )
}

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> StatefulSet {
    let shop = inputs.shop;
    let name = component_name(shop, REDIS);
    // redis-cli ends well even when the server says that it is still loading.
    let question = format!("redis-cli --no-auth-warning --user {PROBE_USER} ping | grep -q PONG");
    let ask = || exec_probe(vec!["sh".to_owned(), "-c".to_owned(), question.clone()]);
    let container = Container {
        name: REDIS.to_owned(),
        image: Some(shop.redis.image.clone()),
        args: Some(strings(["redis-server", "/etc/redis/redis.conf"])),
        env: Some(vec![secret_variable("REDISCLI_AUTH", name.clone(), "probe-password")]),
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
    let volumes = vec![scratch("tmp"), config_volume("config", name.clone()), secret_volume("users", name)];
    super::stateful_set(inputs, Parts { component: REDIS, store: &shop.redis, container, volumes })
}
