//! What a person would look up with kubectl.

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};

use crate::{Target, shop::Credentials};

/// Log lines of the last half hour are enough: what is looked for was caused by then, a Shop's start included.
const LOG_SECONDS: i64 = 1800;

/// The Shop's objects.
pub struct Cluster {
    client: Client,
    target: Target,
}

impl Cluster {
    /// Connects with the kubeconfig of the environment.
    pub async fn connect(target: Target) -> anyhow::Result<Self> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::try_default().await.context("no cluster; is KUBECONFIG set (`eval \"$(cargo xtask env)\"`)?")?;
        Ok(Self { client, target })
    }

    /// The first admin of the Shop, from the Secret `<shop>-admin`.
    pub async fn admin(&self) -> anyhow::Result<Credentials> {
        let name = format!("{}-admin", self.target.shop);
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.target.namespace);
        let secret = secrets.get(&name).await.with_context(|| format!("the Secret {name} cannot be read"))?;
        let field = |key: &str| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            let value = value.ok_or_else(|| anyhow!("the Secret {name} has no key {key}"))?;
            String::from_utf8(value.0.clone()).with_context(|| format!("{key} of the Secret {name} is not text"))
        };
        Ok(Credentials { email: field("email")?, password: field("password")? })
    }

    /// The recent log lines of all running pods of one component.
    pub async fn logs(&self, component: &str) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.target.namespace);
        let selected = ListParams::default().labels(&self.selector(component)).fields("status.phase=Running");
        let recent = LogParams { since_seconds: Some(LOG_SECONDS), ..LogParams::default() };
        let mut text = String::new();
        for pod in pods.list(&selected).await.context("the pods cannot be listed")? {
            let name = pod.metadata.name.unwrap_or_default();
            text += &pods.logs(&name, &recent).await.with_context(|| format!("the log of {name} cannot be read"))?;
        }
        Ok(text)
    }

    /// The answer of a Service's HTTP port, asked through the API server.
    pub async fn ask(&self, component: &str, port: u16, path: &str) -> anyhow::Result<String> {
        let Target { namespace, shop, .. } = &self.target;
        let url = format!("/api/v1/namespaces/{namespace}/services/{shop}-{component}:{port}/proxy{path}");
        let request = http::Request::get(url).body(Vec::new())?;
        Ok(self.client.request_text(request).await?)
    }

    /// The command that shows a component's log, for a message.
    #[must_use]
    pub fn log_command(&self, component: &str) -> String {
        format!("kubectl --namespace {} logs --selector {}", self.target.namespace, self.selector(component))
    }

    fn selector(&self, component: &str) -> String {
        format!("app.kubernetes.io/instance={},app.kubernetes.io/component={component}", self.target.shop)
    }
}
