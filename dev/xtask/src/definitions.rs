//! Definitions of other operators' kinds, by which tests check what is asked of them. They are in the operators' Go modules;
//! the operators themselves do not run here. Those of the Gateway API go into the local cluster too, and those of the
//! Prometheus operator for a moment.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cache::Cached;
use crate::paths::Paths;
use crate::programs;
use crate::step::{Outcome, Step};

/// The variable that tells tests where the definitions are.
pub const VARIABLE: &str = "SHOP_TEST_DEFINITIONS";

/// Module, version, and the file in it.
const DEFINITIONS: [(&str, &str, &str); 6] = [
    ("github.com/cloudnative-pg/cloudnative-pg", "v1.27.1", "config/crd/bases/postgresql.cnpg.io_clusters.yaml"),
    ("github.com/rabbitmq/cluster-operator/v2", "v2.16.0", "config/crd/bases/rabbitmq.com_rabbitmqclusters.yaml"),
    (GATEWAY_API, GATEWAY_API_VERSION, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    (PROMETHEUS, "v0.83.0", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    (PROMETHEUS, "v0.83.0", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    (PROMETHEUS, "v0.83.0", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
];

const PROMETHEUS: &str = "github.com/prometheus-operator/prometheus-operator";

const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";
/// The one that Traefik is built with.
pub const GATEWAY_API_VERSION: &str = "v1.6.3";

/// The folder with all kinds of the Gateway API that are no experiment.
pub fn gateway_api(step: &Step, paths: &Paths) -> Result<PathBuf> {
    let module = format!("{GATEWAY_API}@{GATEWAY_API_VERSION}");
    Ok(programs::download_module(step, &module, &paths.cache)?.join("config/crd/standard"))
}

/// Where they are kept.
pub fn folder(paths: &Paths) -> PathBuf {
    paths.cache.join("definitions")
}

/// Those of the Prometheus operator.
pub fn monitors(paths: &Paths) -> Vec<PathBuf> {
    let theirs = DEFINITIONS.iter().filter(|(module, ..)| *module == PROMETHEUS);
    theirs.map(|(_, _, file)| folder(paths).join(name(file))).collect()
}

/// A file without its folder.
fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Downloads them.
pub fn download(step: &Step, paths: &Paths) -> Result<Outcome> {
    let folder = folder(paths);
    fs::create_dir_all(&folder)?;
    let mut outcome = Outcome::Cached;
    for (module, version, file) in DEFINITIONS {
        let cached = Cached::new(folder.join(name(file)), &[module, version]);
        if cached.is_fresh() {
            continue;
        }
        let source = programs::download_module(step, &format!("{module}@{version}"), &folder)?;
        fs::copy(source.join(file), cached.part()).with_context(|| format!("{module} has no {file}"))?;
        cached.keep()?;
        outcome = Outcome::Built;
    }
    Ok(outcome)
}
