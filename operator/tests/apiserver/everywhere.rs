//! The operator as the chart installs it when nobody names namespaces: it looks after the Shops of all, with the rights that Helm
//! made and no others. It would look after the Shops of other tests too, so it has an API server of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use futures::future::join;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::{ApiServer, Kubelet, Scene};
use tokio::time::{sleep, timeout};

use crate::program::{self, Program};

const RELEASE: &str = "shopkeeper";
const NAMESPACE: &str = "shopkeeper-system";
/// The name of the operator's Deployment, and of its service account.
const OPERATOR: &str = "shopkeeper-operator";
/// What the operator may do in all namespaces.
const ROLE: &str = "shopkeeper-system:shopkeeper-operator";
/// An API server hears of a changed role within so long.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_default_installation_has_the_rights_for_shops_of_all_namespaces_and_its_check_tells_of_one_that_is_gone() {
    let installed = Installation::new().await;
    let _kubelet = Kubelet::start(&installed.client, None);
    let _operator = Program::start(&mut installed.call());
    join(installed.opens("acorn.test"), installed.opens("alder.test")).await;
    // In a namespace that was not there when the operator started.
    installed.opens("beech.test").await;

    let checked = installed.check();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    installed.forbid("list", "shops").await;
    let found = async {
        loop {
            let checked = installed.check();
            if !checked.status.success() {
                return String::from_utf8_lossy(&checked.stderr).into_owned();
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let words = timeout(PATIENCE, found).await.expect("`check` finds nothing");
    assert!(words.contains("/apis/shopkeeper.dev/v1alpha1/shops cannot be listed"), "{words}");
    assert!(words.contains(r#"cannot list resource "shops""#), "{words}");
}

/// The chart on an API server, with its own values.
struct Installation {
    server: ApiServer,
    client: Client,
    /// How the operator's service account reaches the API server.
    kubeconfig: PathBuf,
    /// What the chart puts into the operator's environment.
    environment: Vec<(String, String)>,
    /// Where the operator serves its probes.
    address: String,
}

impl Installation {
    async fn new() -> Self {
        let server = ApiServer::start().await.expect("an API server");
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/shopkeeper");
        let mut helm = Command::new("helm");
        helm.args(["install", RELEASE, chart, "--namespace", NAMESPACE, "--create-namespace", "--kubeconfig"]);
        let output = helm.arg(server.kubeconfig()).output().expect("helm is on the PATH: `cargo xtask env` names it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let client = Client::try_from(server.config().await.expect("its kubeconfig")).expect("a client");
        let kubeconfig = server.kubeconfig_of(NAMESPACE, OPERATOR).expect("a kubeconfig");
        let environment = environment(&client).await;
        // Nobody says at which port the operator listens when it may choose.
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port");
        Self { server, client, kubeconfig, environment, address: free.to_string() }
    }

    /// The operator's program as its pod would run it.
    fn call(&self) -> Command {
        let mut call = program::call(&self.kubeconfig);
        call.envs(self.environment.iter().cloned()).env("SHOPKEEPER_LISTEN", &self.address);
        call
    }

    /// What `helm test` runs.
    fn check(&self) -> Output {
        self.call().args(["check", &format!("http://{}", self.address)]).output().expect("the operator's program")
    }

    /// Makes a namespace with a Shop, and removes it when the Shop is ready.
    async fn opens(&self, host: &str) {
        let config = self.server.config().await.expect("its kubeconfig");
        let scene = Scene::with_operators(config.clone(), config, Settings::default()).await.expect("a namespace");
        scene
            .play(async |scene| {
                scene.create(&json!({"host": host})).await.expect("a Shop");
                scene.until_shop("Ready", "True", None).await;
            })
            .await;
    }

    /// Takes a right away that the chart gave.
    async fn forbid(&self, verb: &str, resource: &str) {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let mut role = roles.get(ROLE).await.expect("the chart's role");
        for rule in role.rules.iter_mut().flatten() {
            if rule.resources.iter().flatten().any(|named| named == resource) {
                rule.verbs.retain(|given| given != verb);
            }
        }
        roles.replace(ROLE, &PostParams::default(), &role).await.expect("an edit");
    }
}

/// The variables of the chart's Deployment.
async fn environment(client: &Client) -> Vec<(String, String)> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let operator = deployments.get(OPERATOR).await.expect("the chart's Deployment");
    let pod = operator.spec.and_then(|spec| spec.template.spec).expect("a pod");
    let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
    // An empty text, as for namespaces, comes back as none.
    variables.map(|variable| (variable.name, variable.value.unwrap_or_default())).collect()
}
