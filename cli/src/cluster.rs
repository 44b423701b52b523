//! The cluster of the kubeconfig, and the Shop in it.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use shopkeeper_operator::{
    catalog::{RABBITMQ, SERVICES, Service},
    crd::Shop,
    names,
    observe::Child,
    settings::{OPERATOR_SELECTOR, WATCH_NAMESPACES},
};

/// Which cluster and namespace are meant, with the flags of kubectl.
#[derive(Args)]
pub struct Target {
    /// Namespace of the Shop. Default: the kubeconfig's.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Path of the kubeconfig. Default: as kubectl.
    #[arg(long, global = true)]
    kubeconfig: Option<std::path::PathBuf>,
}

/// A connection to the API server, and a namespace.
pub struct Cluster {
    /// The API server.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    namespace_given: bool,
    /// Flags that somebody gave and needs again.
    context: Option<String>,
    kubeconfig: Option<String>,
    /// Where the API server is, for people who may have meant another one.
    server: String,
}

impl Cluster {
    /// Connects.
    pub async fn connect(target: Target) -> anyhow::Result<Self> {
        let Target { namespace, context, kubeconfig } = target;
        let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
        let config = match &kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let config =
            config.context("there is no usable kubeconfig (--kubeconfig, --context and KUBECONFIG choose one)")?;
        let namespace_given = namespace.is_some();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).with_context(|| format!("the way to {server}"))?;
        let kubeconfig = kubeconfig.map(|path| path.display().to_string());
        Ok(Self { client, namespace, namespace_given, context, kubeconfig, server })
    }

    /// The namespace that a file names, unless the command line named another one.
    pub fn within(mut self, namespace: &str) -> anyhow::Result<Self> {
        if self.namespace_given && self.namespace != namespace {
            bail!("the file is for the namespace {namespace}, --namespace says {}; change one of them", self.namespace);
        }
        namespace.clone_into(&mut self.namespace);
        Ok(self)
    }

    /// A command of which somebody is told, for this cluster and namespace.
    pub fn command(&self, words: &str) -> String {
        let flags = [("--context", &self.context), ("--kubeconfig", &self.kubeconfig)];
        let given = flags.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(value.as_ref()?))));
        format!("{words} -n {}{}", self.namespace, given.collect::<Vec<_>>().concat())
    }

    /// Objects of one kind in the namespace.
    pub fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Shop of this name, or the only one.
    pub async fn shop(&self, name: Option<&str>) -> anyhow::Result<Shop> {
        let shops: Api<Shop> = self.api();
        let mut found = match name {
            Some(name) => shops.get_opt(name).await.map(|found| found.into_iter().collect::<Vec<_>>()),
            None => shops.list(&ListParams::default()).await.map(|found| found.items),
        };
        if found.as_ref().is_err_and(knows_no_shops) {
            found = Ok(Vec::new());
        }
        let mut found = found.with_context(|| self.unread())?;
        match (found.len(), name) {
            (1, _) => Ok(found.remove(0)),
            (0, Some(name)) => {
                bail!("there is no Shop {name} in the namespace {}{}", self.namespace, self.elsewhere().await)
            }
            (0, None) => bail!("there is no Shop in the namespace {}{}", self.namespace, self.elsewhere().await),
            _ => {
                let names: Vec<String> = found.iter().map(kube::ResourceExt::name_any).collect();
                bail!("the namespace {} has several Shops: name one of {}", self.namespace, names.join(", "));
            }
        }
    }

    /// What failed when Shops cannot be read.
    pub fn unread(&self) -> String {
        format!("Shops cannot be read from {}", self.server)
    }

    /// Where there are Shops, for somebody who looked in the wrong place.
    async fn elsewhere(&self) -> String {
        // Without the right to look everywhere there is no hint.
        let found = match Api::<Shop>::all(self.client.clone()).list(&ListParams::default()).await {
            Err(error) if knows_no_shops(&error) => {
                return format!("; {} knows no Shops: is the chart shopkeeper-crds installed there?", self.server);
            }
            found => found.map(|list| list.items).unwrap_or_default(),
        };
        let place = |shop: &Shop| format!("--namespace {} ({})", shop.namespace().unwrap_or_default(), shop.name_any());
        let places: Vec<String> = found.iter().map(place).collect();
        if places.is_empty() { String::new() } else { format!("; there is one with {}", places.join(", ")) }
    }

    /// The Shop's objects of one kind.
    pub async fn list<K: Child>(&self, shop: &str) -> kube::Result<Vec<K>> {
        Ok(self.api().list(&ListParams::default().labels(&of_shop(shop))).await?.items)
    }

    /// A running pod with these labels, of what is called `what`.
    pub async fn running(&self, shop: &Shop, what: &str, labels: &str) -> anyhow::Result<Pod> {
        let running = ListParams::default().labels(labels).fields("status.phase=Running");
        let found: Vec<Pod> = self.api().list(&running).await.context("the pods cannot be listed")?.items;
        found.into_iter().next().ok_or_else(|| {
            let hibernated = shop.spec.lifecycle.hibernated;
            let name = shop.name_any();
            let why = if hibernated {
                "the Shop is hibernated; wake it first".to_owned()
            } else {
                format!("`{}` says why", self.command(&format!("kubectl shopkeeper status {name}")))
            };
            anyhow!("no pod of {name}'s {what} is running: {why}")
        })
    }

    /// The Deployment of the operator that looks after the namespace.
    pub async fn operator(&self) -> kube::Result<Option<Deployment>> {
        let all: Api<Deployment> = Api::all(self.client.clone());
        let found = all.list(&ListParams::default().labels(OPERATOR_SELECTOR)).await?.items;
        Ok(responsible(found, &self.namespace))
    }

    /// The services that consume events.
    pub fn consumers() -> impl Iterator<Item = &'static Service> {
        SERVICES.iter().filter(|service| service.uses(RABBITMQ))
    }
}

/// Of the operators of several releases the one that was told of the namespace, or else one of all namespaces.
fn responsible(operators: Vec<Deployment>, namespace: &str) -> Option<Deployment> {
    let watches = |operator: &Deployment, is_told: bool| {
        let watched = watched(operator);
        if is_told { watched.contains(&namespace) } else { watched.is_empty() }
    };
    let told = operators.iter().position(|operator| watches(operator, true));
    let found = told.or_else(|| operators.iter().position(|operator| watches(operator, false)))?;
    operators.into_iter().nth(found)
}

/// The namespaces that an operator was told of, as its command line takes them; none means all.
fn watched(operator: &Deployment) -> Vec<&str> {
    let pod = operator.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let variables = pod.into_iter().flat_map(|pod| &pod.containers).flat_map(|one| one.env.iter().flatten());
    let given =
        variables.filter(|variable| variable.name == WATCH_NAMESPACES).filter_map(|variable| variable.value.as_deref());
    given.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A word as shells take it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@+=,%".contains(character);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Whether that is the answer of a cluster without the kind Shop: a page that is not there, without a reason.
fn knows_no_shops(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Selects the pods of one component of a Shop.
pub fn of_component(shop: &str, component: &str) -> String {
    selector(&names::selector(shop, component))
}

/// Selects what has all of these labels.
pub fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",")
}

/// Selects everything that belongs to a Shop, what the operator did not make itself too: volumes, for instance.
pub fn of_shop(shop: &str) -> String {
    format!("app.kubernetes.io/name=shop,{}={shop}", names::INSTANCE_LABEL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operator(release: &str, namespaces: Option<&str>) -> Deployment {
        let env = namespaces.map(|namespaces| json!([{"name": WATCH_NAMESPACES, "value": namespaces}]));
        serde_json::from_value(json!({
            "metadata": {"name": release},
            "spec": {
                "selector": {"matchLabels": {"app.kubernetes.io/instance": release}},
                "template": {"spec": {"containers": [{"name": "operator", "env": env}]}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn of_several_operators_the_one_that_watches_the_namespace_is_meant() {
        let all = [
            operator("elms", Some("elm")),
            operator("all", Some("")),
            operator("oaks", Some("ash, oak")),
            operator("older", None),
        ];
        let meant = |operators: &[Deployment], namespace| {
            responsible(operators.to_vec(), namespace).map(|operator| operator.name_any())
        };
        assert_eq!(meant(&all, "oak").as_deref(), Some("oaks"));
        assert_eq!(meant(&all, "elm").as_deref(), Some("elms"));
        assert_eq!(meant(&all, "beech").as_deref(), Some("all"));
        assert_eq!(meant(&all[2..], "beech").as_deref(), Some("older"));
        assert_eq!(meant(&all[..1], "oak"), None, "nobody looks after it");
    }

    #[test]
    fn a_word_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("arn:aws:eks:eu-west-1:1:cluster/oak"), "arn:aws:eks:eu-west-1:1:cluster/oak");
        assert_eq!(quoted("/home/an oak/it's"), r"'/home/an oak/it'\''s'");
    }
}
