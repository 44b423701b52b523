//! The four stores, for component tests: one pod of the images that a Shop deploys.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

use crate::cache::hex;
use crate::diagnosis;
use crate::kubectl::Kubectl;
use crate::paths::Paths;
use crate::target::Target;

const NAMESPACE: &str = "shopkeeper-test";
const MANIFESTS: &str = include_str!("../../cluster/test-stores.yaml");
const LOCAL_IMAGES: [(&str, &str); 4] =
    [("postgres", "postgres:15"), ("redis", "redis:7.0"), ("rabbitmq", "rabbitmq:3.10"), ("mongodb", "mongo:7")];
const UPSTREAM_IMAGES: [(&str, &str); 4] =
    [("postgres", "postgres:17"), ("redis", "redis:8"), ("rabbitmq", "rabbitmq:4"), ("mongodb", "mongo:8")];

/// Stores with one password, known to nobody else.
pub struct TestStores<'a> {
    kubectl: Kubectl,
    target: &'a Target,
    password: String,
}

impl<'a> TestStores<'a> {
    /// Stores that are not started yet.
    pub fn new(paths: &Paths, target: &'a Target) -> Self {
        let mut bytes = [0; 16];
        // Without randomness the password is guessable, on a network that only this machine reaches.
        let _ = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
        Self { kubectl: target.kubectl(paths), target, password: hex(&bytes) }
    }

    /// Starts them, in place of those of an earlier run.
    pub fn start(&self) -> Result<()> {
        self.stop()?;
        let images = if matches!(self.target, Target::Local(_)) { LOCAL_IMAGES } else { UPSTREAM_IMAGES };
        let mut manifests = MANIFESTS.replace("{{password}}", &self.password);
        for (store, image) in images {
            manifests = manifests.replace(&format!("{{{{{store}}}}}"), image);
        }
        self.kubectl.apply(&manifests)?;
        let ready = self.kubectl.run(&[
            "wait",
            "pod/stores",
            "--namespace",
            NAMESPACE,
            "--for=condition=Ready",
            "--timeout=180s",
        ]);
        ready.with_context(|| diagnosis::namespace(&self.kubectl, NAMESPACE))
    }

    /// Removes them and everything that tests left in them.
    pub fn stop(&self) -> Result<()> {
        self.kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s"])
    }

    /// Where tests find them.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let pod = self.kubectl.json(&["get", "pod", "stores", "--namespace", NAMESPACE])?;
        let host = pod["status"]["podIP"].as_str().context("the stores' pod has no address")?;
        let password = &self.password;
        Ok(vec![
            ("SHOP_TEST_POSTGRES_URL", format!("postgres://postgres:{password}@{host}:5432/postgres")),
            ("SHOP_TEST_REDIS_URL", format!("redis://:{password}@{host}:6379/0")),
            ("SHOP_TEST_AMQP_URL", format!("amqp://test:{password}@{host}:5672")),
            ("SHOP_TEST_AMQP_API", format!("http://test:{password}@{host}:15672")),
            ("SHOP_TEST_MONGODB_URL", format!("mongodb://root:{password}@{host}:27017/?authSource=admin")),
        ])
    }
}
