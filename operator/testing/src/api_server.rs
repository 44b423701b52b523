//! A real API server with etcd, the controllers of Kubernetes that a Shop's objects need, and no node.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, bail};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, CustomResourceExt, ResourceExt};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use shopkeeper_operator::crd::Shop;

use crate::audit::{self, Audit};
use crate::rights;
use crate::supervisor::Supervisor;

/// All of Kubernetes in one program; `cargo xtask test` says where it is.
const PROGRAM: &str = "SHOP_TEST_KUBEBOX";
/// The one address that nobody else reaches.
const HOST: &str = "127.0.0.1";
/// A cold start takes about ten seconds on two busy cores.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Owner references, namespaces, and what makes pods and volume claims. No scheduler: pods stay without a node.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,deployment-controller,\
    replicaset-controller,statefulset-controller,job-controller,persistentvolumeclaim-protection-controller";

/// A running API server that knows the Shop resource and a default ingress class; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct ApiServer {
    programs: Supervisor,
    kubeconfig: PathBuf,
    operator_kubeconfigs: [PathBuf; 2],
}

/// The addresses at which the parts find each other.
struct Ports {
    etcd: String,
    peers: String,
    api: u16,
}

impl ApiServer {
    /// Starts one on free ports of the loopback interface, with a temporary folder for all that it keeps.
    pub async fn start() -> anyhow::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // A second call answers with an error, and the provider is there.
        rustls::crypto::ring::default_provider().install_default().ok();
        let kubebox = program()?;
        let name = format!("shopkeeper-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut programs = Supervisor::new(env::temp_dir().join(name))?;
        let ports = Ports::free()?;
        write_keys(programs.folder())?;
        fs::write(programs.folder().join("audit.json"), audit::policy().to_string())?;
        let [kubeconfig, operators @ ..] = write_kubeconfigs(programs.folder(), ports.api)?;
        programs.start("etcd", &kubebox, &ports.etcd_flags(programs.folder()))?;
        programs.start("kube-apiserver", &kubebox, &ports.api_flags(programs.folder()))?;
        let mut server = Self { programs, kubeconfig, operator_kubeconfigs: operators };
        let client = Client::try_from(server.config().await?)?;
        server.wait_until_ready(&client).await?;
        install(&client).await?;
        // It learns of kinds at its start, so the Shop comes first.
        server.programs.start("kube-controller-manager", &kubebox, &controller_flags(&server.kubeconfig))?;
        Ok(server)
    }

    /// How an administrator reaches it.
    pub async fn config(&self) -> anyhow::Result<Config> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// The same as a file, for other programs.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The same for a program in a pod of a service account: with its rights, and in its namespace.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(&self.kubeconfig)?)?;
        kubeconfig["users"][0]["user"]["as"] = json!(format!("system:serviceaccount:{namespace}:{account}"));
        kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace);
        let file = self.programs.folder().join(format!("kubeconfig-{namespace}-{account}"));
        fs::write(&file, kubeconfig.to_string())?;
        Ok(file)
    }

    /// For programs whose writes are to be told from everybody else's; they may do as much as an administrator.
    #[must_use]
    pub fn operator_kubeconfigs(&self) -> [&Path; 2] {
        self.operator_kubeconfigs.each_ref().map(PathBuf::as_path)
    }

    /// What was written with each of [`Self::operator_kubeconfigs`].
    #[must_use]
    pub fn audits(&self) -> [Audit; 2] {
        audit::USERS.map(|user| Audit::new(self.programs.folder().join("audit.log"), user))
    }

    async fn wait_until_ready(&self, client: &Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let question = http::Request::get("/readyz").body(Vec::new())?;
            let Err(error) = client.request_text(question).await else { return Ok(()) };
            if Instant::now() > deadline {
                let words = ["etcd", "kube-apiserver"].map(|name| self.programs.last_words(name));
                bail!("the API server does not get ready ({error}); the last words:\n{}", words.join("\n"));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// The file named by the environment, or the one that `cargo xtask env` puts on the path.
fn program() -> anyhow::Result<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&folders).map(|folder| folder.join("kubebox")).find(|file| file.is_file());
    env::var_os(PROGRAM).map(PathBuf::from).or(on_path).with_context(|| {
        format!(
            "this needs Kubernetes' own programs: run it by `cargo xtask test`, or run `cargo xtask up`, evaluate what \
             `cargo xtask env` prints, or name the program kubebox in {PROGRAM}"
        )
    })
}

/// The key of service accounts, and the server's certificate, which signs itself.
fn write_keys(folder: &Path) -> anyhow::Result<()> {
    let accounts = KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([HOST.to_owned()])?.self_signed(&key)?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    fs::write(folder.join("server.crt"), certificate.pem())?;
    Ok(())
}

/// A token for the administrator and for each operator; the server is gone before it matters who else knows them.
fn write_kubeconfigs(folder: &Path, port: u16) -> anyhow::Result<[PathBuf; 3]> {
    let tokens = [token()?, token()?, token()?];
    let names = ["admin", audit::USERS[0], audit::USERS[1]];
    let users = names.iter().zip(&tokens);
    let lines: Vec<String> = users.map(|(user, token)| format!("{token},{user},{user},system:masters")).collect();
    fs::write(folder.join("tokens.csv"), lines.join("\n"))?;
    let files = names.map(|name| folder.join(format!("kubeconfig-{name}")));
    for (file, token) in files.iter().zip(tokens) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{HOST}:{port}"), "certificate-authority": folder.join("server.crt"),
            }}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(file, kubeconfig.to_string())?;
    }
    Ok(files)
}

fn token() -> anyhow::Result<String> {
    let key = KeyPair::generate()?.serialize_pem();
    Ok(key.lines().nth(1).context("a key has lines")?.to_owned())
}

impl Ports {
    fn free() -> anyhow::Result<Self> {
        // Held together, so that they differ.
        let listeners = [TcpListener::bind((HOST, 0))?, TcpListener::bind((HOST, 0))?, TcpListener::bind((HOST, 0))?];
        let [etcd, peers, api] = listeners.map(|listener| listener.local_addr().map(|address| address.port()));
        Ok(Self { etcd: format!("http://{HOST}:{}", etcd?), peers: format!("http://{HOST}:{}", peers?), api: api? })
    }

    fn etcd_flags(&self, folder: &Path) -> Vec<String> {
        let (Self { etcd, peers, .. }, f) = (self, folder.display());
        vec![
            "etcd".to_owned(),
            format!("--data-dir={f}/etcd"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
            "--quota-backend-bytes=8589934592".to_owned(),
            format!("--listen-client-urls={etcd}"),
            format!("--advertise-client-urls={etcd}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
        ]
    }

    fn api_flags(&self, folder: &Path) -> Vec<String> {
        let (Self { etcd, api, .. }, f) = (self, folder.display());
        vec![
            "kube-apiserver".to_owned(),
            format!("--etcd-servers={etcd}"),
            format!("--bind-address={HOST}"),
            format!("--secure-port={api}"),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={f}/tokens.csv"),
            format!("--audit-policy-file={f}/audit.json"),
            format!("--audit-log-path={f}/audit.log"),
            // Otherwise it would begin anew after 100 MB.
            "--audit-log-maxsize=1000000".to_owned(),
            format!("--tls-cert-file={f}/server.crt"),
            format!("--tls-private-key-file={f}/server.key"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={f}/accounts.pub"),
            format!("--service-account-signing-key-file={f}/accounts.key"),
        ]
    }
}

fn controller_flags(kubeconfig: &Path) -> Vec<String> {
    vec![
        "kube-controller-manager".to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--controllers={CONTROLLERS}"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // A test waits for them; nobody else is slowed down.
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]
}

/// The Shop resource, a class for its route, and the operator's rights.
async fn install(client: &Client) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = Shop::crd();
    definitions.create(&PostParams::default(), &definition).await?;
    await_condition(definitions, &definition.name_any(), conditions::is_crd_established()).await?;
    let class: IngressClass = serde_json::from_value(json!({
        "metadata": {"name": "nobody", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "shopkeeper.dev/nobody"},
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &class).await?;
    rights::grant(client).await
}
