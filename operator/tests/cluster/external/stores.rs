//! The stores of somebody else: one pod in the test's namespace, the one that component tests use, but services do not get in
//! without TLS. An authority of the test's own vouches for it.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, SecretVolumeSource, Service, Volume, VolumeMount};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use shopkeeper_operator::observe::Child;
use shopkeeper_testing::Scene;

use super::users::{ADMIN, MARKET, REDIS_ADMIN, User};

/// The name of the pod, and of the Service that leads to it.
pub const HOST: &str = "stores";
/// All of them.
pub const STORES: [&str; 4] = ["mongodb", "rabbitmq", "redis", "postgres"];
/// A password that nobody has.
pub const WRONG: &str = "pinecones-in-the-attic";

/// Where the certificate is in the pod, and where RabbitMQ looks for settings.
const CERTIFICATE: &str = "/certificate";
const RABBITMQ_CONFIG: &str = "/etc/rabbitmq/conf.d/10-tls.conf";

/// What a Secret says of a store.
#[derive(Clone, Copy, PartialEq)]
pub enum Word {
    Right,
    WrongPassword,
    WrongAuthority,
}

/// PostgreSQL, a server that speaks MongoDB's protocol, Redis and RabbitMQ.
pub struct Stores {
    /// Where those who look after them find them.
    pub address: String,
    authority: Authority,
    stranger: Authority,
}

/// Somebody who signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Stores {
    pub async fn start(scene: &Scene) -> Self {
        let (authority, stranger) = (Authority::create("oak"), Authority::create("ivy"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/cluster/test-stores.yaml");
        let mut text = fs::read_to_string(file).expect("the stores of component tests");
        let settings = &scene.settings;
        for (word, value) in [
            ("password", ADMIN),
            ("postgres", &settings.postgres_image),
            ("redis", &settings.redis_image),
            ("rabbitmq", &settings.rabbitmq_image),
            ("mongodb", &settings.mongodb_image),
        ] {
            text = text.replace(&format!("{{{{{word}}}}}"), value);
        }
        text = text.replace("shopkeeper-test", &scene.namespace);
        make::<Secret>(scene, &object(&text)).await;
        make::<ConfigMap>(scene, &object(&text)).await;
        make::<Secret>(scene, &authority.certificate()).await;
        make::<Service>(scene, &service()).await;
        make::<Pod>(scene, &encrypted(object(&text))).await;
        let ready = |found: Option<&Pod>| {
            let mut conditions = found.iter().flat_map(|pod| &pod.status).flat_map(|s| s.conditions.iter().flatten());
            conditions.any(|told| told.type_ == "Ready" && told.status == "True")
        };
        let pod = scene.until::<Pod>(HOST, "is ready", ready).await.expect("the stores");
        let address = pod.status.and_then(|status| status.pod_ip).expect("an address");
        Self { address, authority, stranger }
    }

    /// Writes down who the Shop is at the stores: these words about those that are named, and the truth about all others.
    pub async fn tell(&self, scene: &Scene, user: &User, words: &[(&str, Word)]) {
        for store in STORES {
            let word = words.iter().find(|(named, _)| *named == store).map_or(Word::Right, |(_, word)| *word);
            let authority = if word == Word::WrongAuthority { &self.stranger } else { &self.authority };
            let password = if word == Word::WrongPassword { WRONG } else { user.password };
            let mut data = json!({"host": HOST, "username": user.name, "password": password, "ca.crt": authority.pem});
            if store == "mongodb" {
                data["database"] = json!(MARKET);
            }
            let name = secret_name(store);
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
            let params = PatchParams::apply("somebody").force();
            scene.api::<Secret>().patch(&name, &params, &Patch::Apply(secret)).await.expect("a Secret");
        }
    }
}

/// The Secret that says how a store is reached.
pub fn secret_name(store: &str) -> String {
    format!("{HOST}-{store}")
}

impl Authority {
    fn create(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// What the pod shows: to services by its name, and to whoever comes from this machine.
    fn certificate(&self) -> Secret {
        let params = CertificateParams::new([HOST.to_owned(), "127.0.0.1".to_owned()]).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let key = key.serialize_pem();
        let rabbitmq = format!(
            "listeners.tcp = none\nlisteners.ssl.default = 5671\nssl_options.cacertfile = {CERTIFICATE}/ca.crt\n\
             ssl_options.certfile = {CERTIFICATE}/tls.crt\nssl_options.keyfile = {CERTIFICATE}/tls.key\n\
             ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n"
        );
        let secret = json!({
            "metadata": {"name": "certificate"},
            "stringData": {
                "tls.crt": certificate, "tls.key": key, "tls.pem": format!("{key}{certificate}"), "ca.crt": self.pem,
                "rabbitmq.conf": rabbitmq,
            },
        });
        serde_json::from_value(secret).expect("a Secret")
    }
}

/// Services know the stores by a name, and certificates have none for a pod's address.
fn service() -> Service {
    let ports: Vec<_> = [("postgres", 5432), ("redis", 6379), ("rabbitmq", 5671), ("mongodb", 27017)]
        .map(|(name, port)| json!({"name": name, "port": port}))
        .into();
    let spec = json!({"clusterIP": "None", "selector": {"app": HOST}, "ports": ports});
    serde_json::from_value(json!({"metadata": {"name": HOST}, "spec": spec})).expect("a Service")
}

/// The same pod, whose stores show a certificate.
fn encrypted(mut pod: Pod) -> Pod {
    pod.labels_mut().insert("app".to_owned(), HOST.to_owned());
    let spec = pod.spec.as_mut().expect("containers");
    // PostgreSQL takes a key of root's only if nobody but its own group may read it.
    let source = SecretVolumeSource {
        secret_name: Some("certificate".to_owned()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    let volume = Volume { name: "certificate".to_owned(), secret: Some(source), ..Volume::default() };
    spec.volumes.get_or_insert_default().push(volume);
    for container in &mut spec.containers {
        let (path, file) = match container.name.as_str() {
            "rabbitmq" => (RABBITMQ_CONFIG, Some("rabbitmq.conf".to_owned())),
            _ => (CERTIFICATE, None),
        };
        let mut mounts = vec![mount(path, file)];
        if container.name == "rabbitmq" {
            mounts.push(mount(CERTIFICATE, None));
        }
        container.volume_mounts.get_or_insert_default().extend(mounts);
        container.args.get_or_insert_default().extend(flags(&container.name));
    }
    pod
}

fn mount(path: &str, file: Option<String>) -> VolumeMount {
    let (name, mount_path) = ("certificate".to_owned(), path.to_owned());
    VolumeMount { name, mount_path, sub_path: file, read_only: Some(true), ..VolumeMount::default() }
}

/// What the servers are started with; RabbitMQ reads a file.
fn flags(store: &str) -> Vec<String> {
    let file = |name: &str| format!("{CERTIFICATE}/{name}");
    let [certificate, key, both, authority] = ["tls.crt", "tls.key", "tls.pem", "ca.crt"].map(file);
    let words = match store {
        "postgres" => format!("-c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key}"),
        "redis" => format!(
            "--port {REDIS_ADMIN} --tls-port 6379 --tls-cert-file {certificate} --tls-key-file {key} \
             --tls-auth-clients no"
        ),
        "mongodb" => format!(
            "--tlsMode requireTLS --tlsCertificateKeyFile {both} --tlsCAFile {authority} \
             --tlsAllowConnectionsWithoutCertificates"
        ),
        _ => String::new(),
    };
    words.split_whitespace().map(str::to_owned).collect()
}

/// The object of a kind that is in the text.
fn object<K: Child>(text: &str) -> K {
    let kind = format!("\nkind: {}\n", K::kind(&()));
    let object = text.split("\n---\n").find(|object| format!("\n{object}").contains(&kind)).expect("the object");
    serde_saphyr::from_str(object).expect("YAML")
}

async fn make<K: Child>(scene: &Scene, object: &K) {
    let made = scene.api().create(&PostParams::default(), object).await;
    made.unwrap_or_else(|error| panic!("{}: {error}", K::kind(&())));
}
