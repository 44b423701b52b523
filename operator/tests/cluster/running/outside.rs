//! What a Shop talks to that is none of its own, in this process: a mail server, a bucket and a trace collector. And the
//! classes that only this Shop has.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop_testing::s3_server::S3Server;
use shop_testing::smtp_server::{Manner, SmtpServer};
use shopkeeper_testing::Scene;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

use super::sights::Sights;
use super::wishes::{self, HEADER};

/// Nothing is sent there.
const SOME_PORT: u16 = 9;

/// Those outside of the Shop.
pub struct Outside {
    /// This machine as pods see it.
    pub address: IpAddr,
    pub mail: SmtpServer,
    pub bucket: S3Server,
    pub collector: Collector,
}

impl Outside {
    /// Lets them listen, and writes the Secrets and the classes that the Shop names.
    pub async fn open(scene: &Scene) -> Self {
        let address = address(scene).await;
        let (mail, bucket) = (SmtpServer::start(address, Manner::Takes).await, S3Server::start(address).await);
        let outside = Self { address, mail, bucket, collector: Collector::start(address).await };
        for (name, keys) in wishes::secrets(&outside) {
            write_secret(scene, name, "Opaque", &keys).await;
        }
        copy_default_class::<IngressClass>(scene, "ingressclass.kubernetes.io/is-default-class").await;
        copy_default_class::<StorageClass>(scene, "storageclass.kubernetes.io/is-default-class").await;
        outside
    }
}

/// The address that this machine has on its way to a node, which is the way back from pods.
async fn address(scene: &Scene) -> IpAddr {
    let nodes = Api::<Node>::all(scene.client.clone()).list(&ListParams::default()).await.expect("a list").items;
    let mut addresses = nodes.iter().flat_map(|node| &node.status).flat_map(|status| status.addresses.iter().flatten());
    let node = addresses.find(|address| address.type_ == "InternalIP").expect("a node with an address");
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
    socket.connect((node.address.as_str(), SOME_PORT)).expect("a way to the node");
    socket.local_addr().expect("an address").ip()
}

/// Writes a Secret as people do.
pub async fn write_secret(scene: &Scene, name: &str, kind: &str, keys: &Value) {
    let secret = json!({"metadata": {"name": name}, "type": kind, "stringData": keys});
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    scene.api().create(&PostParams::default(), &secret).await.expect("a Secret");
}

/// Makes a class that is like the cluster's default one. It has the namespace's name, and goes with it.
async fn copy_default_class<K>(scene: &Scene, mark: &str)
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let owner = namespaces.get(&scene.namespace).await.expect("the namespace").owner_ref(&());
    let api: Api<K> = Api::all(scene.client.clone());
    let classes = api.list(&ListParams::default()).await.expect("a list").items;
    let default = classes.into_iter().find(|class| class.annotations().get(mark).is_some_and(|mark| mark == "true"));
    let mut class = default.expect("a default class");
    *class.meta_mut() = ObjectMeta {
        name: Some(scene.namespace.clone()),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    api.create(&PostParams::default(), &class).await.expect("a class");
}

/// A trace collector that remembers which traces it was told of.
pub struct Collector {
    pub endpoint: String,
    told: Arc<Mutex<Told>>,
}

/// What came, by whomever.
#[derive(Default)]
struct Told {
    traces: BTreeSet<u128>,
    /// What came along in the header.
    along: BTreeSet<String>,
}

/// Its ear.
struct Listener(Arc<Mutex<Told>>);

impl Collector {
    async fn start(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let told = Arc::new(Mutex::new(Told::default()));
        let server = Server::builder().add_service(TraceServiceServer::new(Listener(Arc::clone(&told))));
        // It ends with the test.
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self { endpoint, told }
    }

    /// It has heard of some traces from when every other one was to be told, and of none from when none was.
    pub fn was_told_of_half(&self, half_traced: &BTreeSet<u128>, untraced: &BTreeSet<u128>, sights: &Sights) {
        let told = lock(&self.told);
        let Told { traces, along } = &*told;
        let (_, value) = HEADER;
        let (heard_of, most) = (traces.intersection(half_traced).count(), half_traced.len() - 1);
        sights.within("telemetry.otlp.endpoint telemetry.sampling", heard_of, &(1..=most));
        sights.same("telemetry.otlp.headersSecretName", along.clone(), BTreeSet::from([value.to_owned()]));
        sights.same("telemetry.disabled", traces.intersection(untraced).count(), 0);
    }
}

#[async_trait]
impl TraceService for Listener {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (name, _) = HEADER;
        let along = request.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        let traces = spans.filter_map(|span| Some(u128::from_be_bytes(span.trace_id.try_into().ok()?)));
        let mut told = lock(&self.0);
        told.traces.extend(traces);
        told.along.insert(along);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().expect("no panic while it is held")
}
