//! What component tests share: a database, a virtual host and a key prefix each, tokens, certificates, servers of others, and a
//! world with a clock that the test moves. The stores are real; `cargo xtask test` starts them and sets `SHOP_TEST_*`.

mod authority;
mod broker;
mod database;
pub mod forgeries;
pub mod limits;
pub mod matrix;
mod mongo;
mod neighbours;
pub mod s3_server;
pub mod smtp_server;
mod tokens;
mod world;

use std::sync::Arc;

use reqwest::Client;
use shop_config::{Listeners, Peer as PeerConfig};
use shop_mesh::{Mesh, Peer};
use shop_server::{Addresses, Edge, Host, Service};
use shop_telemetry::metrics::Metrics;
use uuid::Uuid;

pub use authority::TestAuthority;
pub use broker::TestBroker;
pub use database::TestDatabase;
pub use mongo::TestMongo;
pub use neighbours::{Neighbours, Seen};
pub use tokens::TestTokens;
pub use world::TestWorld;

/// A service that answers on free ports of the loopback interface until the test ends it.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    /// An HTTP client.
    pub client: Client,
    host: Host,
}

impl Running {
    /// Builds and starts `S`.
    pub async fn start<S: Service>(config: S::Config, host: Host) -> Self {
        let edge = S::build(config, &host).await.expect("the service builds");
        Self::serve(edge, host).await
    }

    /// Starts a service that is built already.
    pub async fn serve(edge: Edge, host: Host) -> Self {
        let addresses = shop_server::start(edge, &host, &Listeners::loopback()).await.expect("the service starts");
        Self { addresses, client: Client::new(), host }
    }

    /// A URL of the public API.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.http)
    }

    /// The way of its neighbour `caller` to the gRPC of this service, called `service`.
    #[must_use]
    pub fn peer(&self, caller: &'static str, service: &'static str) -> Peer {
        let address = self.addresses.grpc.expect("the service has gRPC");
        let mesh = Mesh::new(caller, None, Arc::clone(&self.host.world), &Metrics::default());
        mesh.connect(service, &PeerConfig::at(format!("http://{address}"))).expect("a good address")
    }

    /// The OpenAPI document of the service.
    pub async fn document(&self) -> serde_json::Value {
        let url = format!("http://{}/openapi.json", self.addresses.admin);
        let response = self.client.get(url).send().await.expect("the admin port answers");
        response.json().await.expect("the document is JSON")
    }

    /// Waits until `/readyz` says yes; says what was missing when it does not within half a minute.
    pub async fn ready(&self) {
        let url = format!("http://{}/readyz", self.addresses.admin);
        eventually("the service is ready", || async {
            let response = self.client.get(&url).send().await.expect("the admin port answers");
            let ready = response.status().is_success();
            let missing = response.text().await.unwrap_or_default();
            if ready { Ok(()) } else { Err(missing) }
        })
        .await;
    }

    /// Its metrics, in the text format of Prometheus.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.addresses.admin);
        let response = self.client.get(&url).send().await.expect("the admin port answers");
        response.text().await.expect("text")
    }

    /// Waits until `count` events of `kind` were handled, duplicates included.
    pub async fn handled(&self, kind: &str, count: usize) {
        let sample = format!("messages_processed_total{{event=\"{kind}\",outcome=\"handled\"}} {count}");
        eventually(&format!("{count} {kind} are handled"), || async {
            let metrics = self.metrics().await;
            if metrics.lines().any(|line| line == sample) { Ok(()) } else { Err(metrics) }
        })
        .await;
    }

    /// Ends the service as a SIGTERM would, and waits for it.
    pub async fn stop(self) {
        self.host.health.drain();
        self.host.stop().await;
    }
}

/// Asks `condition` until it is `Ok`, for half a minute; then panics with its last answer.
pub async fn eventually<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(answer) => assert!(tokio::time::Instant::now() < deadline, "{what}: not within 30 s, last: {answer}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}

/// A setting of the test environment.
#[must_use]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}

/// A name nobody else uses.
fn unique_name() -> String {
    format!("t{}", Uuid::new_v4().simple())
}
