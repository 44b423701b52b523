//! The plugin, the Shop under test, and a namespace for Shops that nobody looks after.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use shop_e2e::Target;
use shopkeeper_operator::{crd::Shop, observe::Child as Kind};

use crate::did::Did;

/// What is for programs.
pub const FORMS: [&str; 2] = ["json", "yaml"];

/// The Shop that `cargo xtask test` names.
pub fn target() -> Target {
    Target::from_env().expect("these tests need a running Shop: run them with `cargo xtask test`")
}

fn command(namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-shopkeeper"));
    command.args(arguments).args(["--namespace", namespace]);
    command
}

/// Runs the plugin to its end.
pub fn run(namespace: &str, arguments: &[&str]) -> Did {
    command(namespace, arguments).output().expect("the plugin starts").into()
}

/// Runs it, and reads what it says to programs in one of the [`FORMS`].
pub fn read(namespace: &str, arguments: &[&str], form: &str) -> Value {
    let did = run(namespace, &[arguments, &["-o", form]].concat());
    assert_eq!(did.code, 0, "{}{}", did.out, did.err);
    if form == "json" { did.json() } else { did.yaml() }
}

/// A file that only its owner reads, and that is gone when the test is.
pub struct File(PathBuf);

impl File {
    pub fn with(name: &str, content: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}.json", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.expect("a file").write_all(content.to_string().as_bytes()).expect("a file");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A plugin that is still running.
pub struct Running(Child);

/// Starts the plugin.
pub fn start(namespace: &str, arguments: &[&str]) -> Running {
    let mut command = command(namespace, arguments);
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the plugin starts"))
}

impl Running {
    /// Waits for its end.
    pub fn end(self) -> Did {
        self.0.wait_with_output().expect("the plugin ends").into()
    }
}

/// The API server, with the rights of whoever runs the tests.
pub async fn client() -> Client {
    // A second call answers with an error, and the provider is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_default().await.expect("KUBECONFIG names a cluster")
}

/// A namespace that no operator watches.
pub struct Scene {
    pub client: Client,
    pub namespace: String,
}

/// Runs a test in a namespace of its own, and removes it.
pub async fn with_scene(test: impl AsyncFnOnce(&Scene)) {
    let client = client().await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let wanted = json!({"metadata": {"generateName": "shopkeeper-cli-"}});
    let wanted: Namespace = serde_json::from_value(wanted).expect("a namespace");
    let namespace = namespaces.create(&PostParams::default(), &wanted).await.expect("a namespace").name_any();
    let scene = Scene { client, namespace };
    let outcome = std::panic::AssertUnwindSafe(test(&scene)).catch_unwind().await;
    namespaces.delete(&scene.namespace, &DeleteParams::background()).await.expect("removing the namespace");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Scene {
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates any object.
    pub async fn create<K: Kind>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).expect("an object");
        self.api().create(&PostParams::default(), &object).await.expect("it is created")
    }

    /// Creates a Shop that nobody looks after.
    pub async fn shop(&self, name: &str) -> Shop {
        self.create(json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": name}, "spec": {},
        }))
        .await
    }
}
