//! The cluster of the kubeconfig, and the Shop in it.

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::SecretString;
use shopkeeper_operator::{
    catalog::{RABBITMQ, SERVICES, Service},
    crd::Shop,
    names,
};

use crate::forward::Forward;

const AMQP_PORT: u16 = 5672;
const AMQP_URL: &str = "SHOP_AMQP__URL";

/// Which Shop is meant, with the flags of kubectl.
#[derive(Args)]
pub struct Target {
    /// Namespace of the Shop. Default: the kubeconfig's.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// Name of the Shop. Default: the only one in the namespace.
    #[arg(long, global = true)]
    shop: Option<String>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Path of the kubeconfig. Default: as kubectl.
    #[arg(long, global = true)]
    kubeconfig: Option<std::path::PathBuf>,
}

/// A connection to the API server, and one Shop.
pub struct Cluster {
    client: Client,
    namespace: String,
    shop: String,
}

impl Cluster {
    /// Connects, and makes sure that the Shop is there.
    pub async fn connect(target: Target) -> anyhow::Result<Self> {
        let options = KubeConfigOptions { context: target.context, ..KubeConfigOptions::default() };
        let config = match target.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config.context("there is no usable kubeconfig")?;
        let namespace = target.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        let shops: Api<Shop> = Api::namespaced(client.clone(), &namespace);
        let shop = match target.shop {
            Some(name) => match shops.get_opt(&name).await.context("the Shop cannot be read")? {
                Some(shop) => shop.name_any(),
                None => bail!("there is no Shop {name} in the namespace {namespace}"),
            },
            None => the_only_one(&shops, &namespace).await?,
        };
        Ok(Self { client, namespace, shop })
    }

    /// The services that consume events.
    pub fn consumers() -> impl Iterator<Item = &'static Service> {
        SERVICES.iter().filter(|service| service.uses(RABBITMQ))
    }

    /// The broker's address for one service, with that service's user and rights.
    pub async fn broker_url(&self, service: &str) -> anyhow::Result<SecretString> {
        let name = names::component(&self.shop, service);
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get(&name).await.with_context(|| format!("the Secret {}/{name}", self.namespace))?;
        let url = secret.data.as_ref().and_then(|data| data.get(AMQP_URL));
        let url = url.ok_or_else(|| anyhow!("the Secret {}/{name} has no {AMQP_URL}", self.namespace))?;
        Ok(SecretString::from(String::from_utf8(url.0.clone())?))
    }

    /// A local port that leads to the Shop's broker.
    pub async fn forward_to_broker(&self) -> anyhow::Result<Forward> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = names::selector(&self.shop, RABBITMQ);
        let selector: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let running = ListParams::default().labels(&selector.join(",")).fields("status.phase=Running");
        let found = pods.list(&running).await.context("the pods cannot be listed")?;
        let pod = found.items.first().ok_or_else(|| anyhow!("no pod of {}'s RabbitMQ is running", self.shop))?;
        Forward::to(pods, pod.name_any(), AMQP_PORT).await
    }
}

async fn the_only_one(shops: &Api<Shop>, namespace: &str) -> anyhow::Result<String> {
    let found = shops.list(&ListParams::default()).await.context("the Shops cannot be listed")?;
    let names: Vec<String> = found.iter().map(kube::ResourceExt::name_any).collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        [] => bail!("there is no Shop in the namespace {namespace}; name another one with --namespace"),
        _ => bail!("the namespace {namespace} has several Shops ({}); choose with --shop", names.join(", ")),
    }
}
