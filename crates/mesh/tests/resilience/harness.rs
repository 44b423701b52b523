//! Catalogs that behave as they are told, and a caller of them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, stream};
use shop_config::{Peer as PeerConfig, Span};
use shop_core::SystemWorld;
use shop_mesh::{Mesh, Peer, ServerMetrics, server};
use shop_proto::catalog::{
    GetProductsRequest, GetProductsResponse, ReserveStockRequest, ReserveStockResponse,
    catalog_service_client::CatalogServiceClient,
    catalog_service_server::{CatalogService, CatalogServiceServer},
};
use shop_telemetry::metrics::Metrics;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

/// Longer than anything here takes.
pub const GENEROUS: Duration = Duration::from_secs(30);

/// What a catalog does with a call.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Answers it.
    Good,
    /// Answers it once the mood is another one.
    Silent,
    /// Refuses it.
    Bad(Status),
}

/// A catalog that runs until it is dropped.
pub struct Catalog {
    pub address: SocketAddr,
    pub metrics: Metrics,
    mood: watch::Sender<Mood>,
    seen: Arc<Seen>,
    server: AbortHandle,
}

/// What became of the calls.
#[derive(Default)]
struct Seen {
    arrived: AtomicUsize,
    given_up: AtomicUsize,
    /// `grpc-timeout` of the latest.
    timeout: Mutex<Option<String>>,
    /// Whom it asks itself before it answers.
    next: Mutex<Option<Caller>>,
}

#[derive(Clone)]
struct Service {
    mood: watch::Receiver<Mood>,
    seen: Arc<Seen>,
}

/// Notices when work is dropped before its end.
struct Work(Option<Arc<Seen>>);

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(seen) = self.0.take() {
            seen.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn get_products(
        &self,
        request: Request<GetProductsRequest>,
    ) -> Result<Response<GetProductsResponse>, Status> {
        self.seen.arrived.fetch_add(1, Ordering::SeqCst);
        let announced = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
        *self.seen.timeout.lock().unwrap() = announced.map(str::to_owned);
        let mut work = Work(Some(Arc::clone(&self.seen)));
        let mut mood = self.mood.clone();
        let now = mood.wait_for(|mood| !matches!(mood, Mood::Silent)).await.expect("the test goes on").clone();
        let next = self.seen.next.lock().unwrap().clone();
        if let Some(next) = next {
            next.ask().await?;
        }
        work.0 = None;
        match now {
            Mood::Bad(status) => Err(status),
            Mood::Good | Mood::Silent => Ok(Response::new(GetProductsResponse::default())),
        }
    }

    async fn reserve_stock(&self, _: Request<ReserveStockRequest>) -> Result<Response<ReserveStockResponse>, Status> {
        self.seen.arrived.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(ReserveStockResponse::default()))
    }
}

impl Catalog {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, moods) = watch::channel(mood);
        let (seen, metrics) = (Arc::<Seen>::default(), Metrics::default());
        let service = Service { mood: moods, seen: Arc::clone(&seen) };
        let server = server(None, ServerMetrics::register(&metrics))
            .add_service(CatalogServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(server).abort_handle();
        Self { address, metrics, mood, seen, server }
    }

    pub fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// From now on it asks `next` before it answers.
    pub fn asks(&self, next: Caller) {
        *self.seen.next.lock().unwrap() = Some(next);
    }

    pub fn arrived(&self) -> usize {
        self.seen.arrived.load(Ordering::SeqCst)
    }

    pub fn given_up(&self) -> usize {
        self.seen.given_up.load(Ordering::SeqCst)
    }

    /// How long the latest call said that it waits.
    pub fn announced(&self) -> Duration {
        let text = self.seen.timeout.lock().unwrap().clone().expect("every call says so");
        let micros = text.strip_suffix('u').expect("less than a minute").parse().unwrap();
        Duration::from_micros(micros)
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The addresses that a name has, as the test says.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<Vec<SocketAddr>>>);

impl Names {
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        *self.0.lock().unwrap() = addresses.into_iter().collect();
    }

    fn known(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap().clone()
    }
}

/// Somebody who calls catalogs.
#[derive(Clone)]
pub struct Caller {
    client: CatalogServiceClient<Peer>,
    pub metrics: Metrics,
    pub names: Names,
    /// Addresses of the host `canary`.
    pub canary: Names,
}

/// How the catalog is called unless a test says otherwise.
pub fn patiently() -> PeerConfig {
    PeerConfig { timeout: Some(Span(GENEROUS)), ..PeerConfig::at("http://catalog:9090") }
}

impl Caller {
    /// The cart, whose calls to the catalog may be repeated.
    pub fn of(addresses: impl IntoIterator<Item = SocketAddr>, settings: &PeerConfig) -> Self {
        Self::named("cart", addresses, settings)
    }

    pub fn named(name: &'static str, addresses: impl IntoIterator<Item = SocketAddr>, settings: &PeerConfig) -> Self {
        let (names, canary, metrics) = (Names::default(), Names::default(), Metrics::default());
        names.set(addresses);
        let (known, other) = (names.clone(), canary.clone());
        let mesh = Mesh::new(name, None, Arc::new(SystemWorld), &metrics);
        let resolve = move |host: String, _| {
            let names = if host == "canary" { &other } else { &known };
            std::future::ready(Ok(names.known())).boxed()
        };
        let peer = mesh.connect_by("product", settings, resolve).unwrap();
        Self { client: CatalogServiceClient::new(peer), metrics, names, canary }
    }

    pub async fn ask(&self) -> Result<(), Status> {
        self.client.clone().get_products(GetProductsRequest::default()).await.map(drop)
    }

    /// Asks so often, a few at a time, and says how often there was an answer.
    pub async fn ask_often(&self, times: usize) -> usize {
        let calls = stream::iter(0..times).map(|_| self.ask()).buffer_unordered(16);
        calls.filter(|outcome| std::future::ready(outcome.is_ok())).count().await
    }

    /// The value of a metric; `name` with its labels.
    pub fn metric(&self, name: &str) -> u64 {
        value(&self.metrics, name)
    }
}

/// The value of a metric, 0 when there is none.
pub fn value(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.encode().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or_default()
}

/// Waits for a condition.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GENEROUS, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {GENEROUS:?}"));
}

/// A refusal that says nothing about when to come back.
pub fn away() -> Mood {
    Mood::Bad(Status::new(Code::Unavailable, "gone for lunch"))
}
