//! Who may talk to whom, over real connections with real certificates.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use shop_config::{Peer as PeerConfig, Span};
use shop_core::SystemWorld;
use shop_mesh::{Identity, Mesh, Peer, ServerMetrics, accept, server};
use shop_proto::catalog::{
    GetProductsRequest, GetProductsResponse, ReserveStockRequest, ReserveStockResponse,
    catalog_service_client::CatalogServiceClient,
    catalog_service_server::{CatalogService, CatalogServiceServer},
};
use shop_telemetry::metrics::Metrics;
use shop_testing::TestAuthority;
use tokio::{net::TcpListener, sync::Notify};
use tonic::{Code, Request, Response, Status};

const HOST: &str = "localhost";

fn identity(authority: &TestAuthority, id: &str, valid_for: time::Duration) -> (Folder, Identity) {
    let folder = Folder::create();
    authority.write(&folder.0, HOST, id, valid_for);
    let identity = Identity::follow(&folder.0).expect("an identity");
    (folder, identity)
}

/// A folder that is removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mtls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn id(service: &str) -> String {
    format!("spiffe://cluster.local/ns/oak/shop/acorn/{service}")
}

const DAY: time::Duration = time::Duration::hours(24);

/// A catalog that answers reservations only when it is told to.
struct Catalog(Arc<Notify>);

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn get_products(&self, _: Request<GetProductsRequest>) -> Result<Response<GetProductsResponse>, Status> {
        Ok(Response::new(GetProductsResponse::default()))
    }

    async fn reserve_stock(&self, _: Request<ReserveStockRequest>) -> Result<Response<ReserveStockResponse>, Status> {
        self.0.notified().await;
        Ok(Response::new(ReserveStockResponse::default()))
    }
}

struct Running {
    url: String,
    metrics: Metrics,
    answer: Arc<Notify>,
}

async fn serve(identity: Option<Identity>) -> Running {
    let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
    let url = format!("http://{HOST}:{}", listener.local_addr().expect("an address").port());
    let (metrics, answer) = (Metrics::default(), Arc::new(Notify::new()));
    let served = ServerMetrics::register(&metrics);
    let routes = CatalogServiceServer::new(Catalog(Arc::clone(&answer)));
    let server = server(identity.as_ref(), served.clone()).add_service(routes);
    tokio::spawn(server.serve_with_incoming(accept(listener, identity, served)));
    Running { url, metrics, answer }
}

impl Running {
    fn peer(&self, identity: Option<&Identity>) -> Peer {
        let settings = PeerConfig { timeout: Some(Span(Duration::from_secs(30))), ..PeerConfig::at(&self.url) };
        let mesh = Mesh::new("cart", identity.cloned(), Arc::new(SystemWorld), &Metrics::default());
        mesh.connect("product", &settings).expect("an address")
    }

    async fn call(&self, identity: Option<&Identity>) -> Result<(), Status> {
        let peer = self.peer(identity);
        peer.found().await;
        CatalogServiceClient::new(peer).get_products(GetProductsRequest::default()).await.map(drop)
    }

    fn refused(&self, what: &str) -> bool {
        let line = format!("mesh_refused_total{{what=\"{what}\"}}");
        self.metrics.encode().expect("metrics").lines().any(|found| found.starts_with(&line))
    }
}

#[tokio::test]
async fn a_neighbour_in_the_table_of_edges_is_answered_and_any_other_is_not() {
    let shop = TestAuthority::create();
    let (_files, product) = identity(&shop, &id("product"), DAY);
    let running = serve(Some(product)).await;

    let (_files, cart) = identity(&shop, &id("cart"), DAY);
    running.call(Some(&cart)).await.expect("cart may ask for products");

    let (_files, payment) = identity(&shop, &id("payment"), DAY);
    let refused = running.call(Some(&payment)).await.expect_err("payment has no business there");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(running.refused("call"));
}

#[tokio::test]
async fn plain_text_is_refused_where_there_are_identities() {
    let shop = TestAuthority::create();
    let (_files, product) = identity(&shop, &id("product"), DAY);
    let running = serve(Some(product)).await;
    running.call(None).await.expect_err("no certificate, no answer");
    assert!(running.refused("connection"));
}

#[tokio::test]
async fn another_shops_certificate_is_refused_even_under_the_same_authority() {
    let (shop, other) = (TestAuthority::create(), TestAuthority::create());
    let (_files, product) = identity(&shop, &id("product"), DAY);
    let running = serve(Some(product)).await;

    let (files, _) = identity(&other, &id("cart"), DAY);
    // It trusts the right authority and shows a certificate of the wrong one.
    std::fs::write(files.0.join("ca.crt"), &shop.pem).unwrap();
    let stranger = Identity::follow(&files.0).unwrap();
    running.call(Some(&stranger)).await.expect_err("signed by another Shop's authority");

    let (_files, neighbour) = identity(&shop, "spiffe://cluster.local/ns/oak/shop/walnut/cart", DAY);
    running.call(Some(&neighbour)).await.expect_err("of another Shop");
    assert!(running.refused("connection"));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let shop = TestAuthority::create();
    let (_files, product) = identity(&shop, &id("product"), DAY);
    let running = serve(Some(product)).await;
    let (_files, cart) = identity(&shop, &id("cart"), time::Duration::hours(-1));
    running.call(Some(&cart)).await.expect_err("it has run out");
    assert!(running.refused("connection"));
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_for_the_host_gets_no_request() {
    let (shop, other) = (TestAuthority::create(), TestAuthority::create());
    let (_files, impostor) = identity(&other, &id("product"), DAY);
    let running = serve(Some(impostor)).await;
    let (_files, cart) = identity(&shop, &id("cart"), DAY);
    running.call(Some(&cart)).await.expect_err("the authority is not the Shop's");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_calls_under_way_are_finished() {
    let shop = TestAuthority::create();
    let (files, product) = identity(&shop, &id("product"), DAY);
    let running = serve(Some(product.clone())).await;
    let (_order_files, order) = identity(&shop, &id("order"), DAY);
    let mut client = CatalogServiceClient::new(running.peer(Some(&order)));
    let mut under_way = tokio::spawn(async move { client.reserve_stock(ReserveStockRequest::default()).await });

    // The next certificate is for another Shop, so that it shows which one is in use.
    let (_cart_files, cart) = identity(&shop, &id("cart"), DAY);
    running.call(Some(&cart)).await.expect("the first certificate is in use");
    shop.write(&files.0, HOST, "spiffe://cluster.local/ns/oak/shop/walnut/product", DAY);
    while product.id().shop.ends_with("/acorn") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.call(Some(&cart)).await.expect_err("the second certificate is in use");

    tokio::select! {
        early = &mut under_way => panic!("nobody answered yet: {early:?}"),
        () = std::future::ready(()) => {}
    }
    running.answer.notify_one();
    under_way.await.unwrap().expect("the call outlives the certificate it began with");
}

#[tokio::test]
async fn while_one_authority_takes_over_from_another_neighbours_of_both_understand_each_other() {
    let (before, after) = (TestAuthority::create(), TestAuthority::create());
    let both = format!("{}{}", before.pem, after.pem);
    let member = |authority: &TestAuthority, service: &str| {
        let (files, _) = identity(authority, &id(service), DAY);
        std::fs::write(files.0.join("ca.crt"), &both).unwrap();
        let identity = Identity::follow(&files.0).unwrap();
        (files, identity)
    };
    let (_old_files, old) = member(&before, "product");
    let (_new_files, new) = member(&after, "product");
    for product in [old, new] {
        let running = serve(Some(product)).await;
        for authority in [&before, &after] {
            let (_files, cart) = member(authority, "cart");
            running.call(Some(&cart)).await.expect("either authority is trusted");
        }
    }
}
