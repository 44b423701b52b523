//! The catalog as the order service may rely on it: a gRPC server that keeps `shop.catalog.v1`'s contract, over a shelf in
//! memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use shop_auth::Verifier;
use shop_core::{Fault, FieldError};
use shop_mesh::{ServerMetrics, to_status};
use shop_proto::catalog::{
    GetProductsRequest, GetProductsResponse, PricedLine, Product, ReservationLine, ReserveStockRequest,
    ReserveStockResponse,
    catalog_service_server::{CatalogService, CatalogServiceServer},
};
use shop_telemetry::metrics::Metrics;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

/// A clone is the same shelf.
#[derive(Clone)]
pub struct TestCatalog {
    shelf: Arc<Mutex<Shelf>>,
    verifier: Arc<Verifier>,
}

#[derive(Default)]
struct Shelf {
    products: HashMap<String, Product>,
    /// By order; `None` once it is over.
    reservations: HashMap<String, Option<ReserveStockResponse>>,
}

impl TestCatalog {
    /// Starts serving and says where.
    pub async fn start(verifier: Verifier) -> (Self, String) {
        let catalog = Self { shelf: Arc::default(), verifier: Arc::new(verifier) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Routes::new(CatalogServiceServer::new(catalog.clone()));
        tokio::spawn(
            shop_mesh::server(None, ServerMetrics::register(&Metrics::default()))
                .add_routes(routes)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (catalog, url)
    }

    /// Puts a product on the shelf.
    pub fn stock(&self, name: &str, seller: Uuid, price_minor: i64, available: i64) -> Uuid {
        let id = Uuid::now_v7();
        let product = Product {
            id: id.to_string(),
            seller_id: seller.to_string(),
            name: name.to_owned(),
            price_minor,
            currency: "USD".to_owned(),
            image_url: "/uploads/kettle".to_owned(),
            available,
            active: true,
        };
        self.shelf.lock().unwrap().products.insert(product.id.clone(), product);
        id
    }

    /// Sets stock aside for an order, as a checkout that crashed afterwards did.
    pub fn reserve_for(&self, order: Uuid, product: Uuid, quantity: i32) {
        let line = ReservationLine { product_id: product.to_string(), quantity };
        let request = ReserveStockRequest { order_id: order.to_string(), lines: vec![line] };
        self.shelf.lock().unwrap().reserve(request).unwrap();
    }

    /// Ends the reservation of an order, as its expiry does.
    pub fn end_reservation(&self, order: Uuid) {
        self.shelf.lock().unwrap().reservations.insert(order.to_string(), None);
    }

    /// How many of a product can be reserved.
    pub fn available(&self, product: Uuid) -> i64 {
        self.shelf.lock().unwrap().products[&product.to_string()].available
    }
}

impl Shelf {
    fn reserve(&mut self, request: ReserveStockRequest) -> Result<ReserveStockResponse, Fault> {
        match self.reservations.get(&request.order_id) {
            Some(Some(reservation)) => return Ok(reservation.clone()),
            Some(None) => return Err(Fault::conflict("reservation_over", "The reservation of this order has ended")),
            None => {}
        }
        self.check(&request)?;
        let lines = request.lines.iter().map(|line| {
            let product = self.products.get_mut(&line.product_id).expect("checked before");
            product.available -= i64::from(line.quantity);
            PricedLine {
                product_id: product.id.clone(),
                seller_id: product.seller_id.clone(),
                product_name: product.name.clone(),
                unit_price_minor: product.price_minor,
                quantity: line.quantity,
                image_url: product.image_url.clone(),
            }
        });
        let reservation = ReserveStockResponse {
            lines: lines.collect(),
            currency: "USD".to_owned(),
            expires_at: "2999-01-01T00:00:00Z".to_owned(),
        };
        self.reservations.insert(request.order_id, Some(reservation.clone()));
        Ok(reservation)
    }

    fn check(&self, request: &ReserveStockRequest) -> Result<(), Fault> {
        let short = request.lines.iter().filter_map(|line| {
            let left = self.products.get(&line.product_id).map_or(0, |product| product.available);
            (left < i64::from(line.quantity)).then(|| FieldError {
                field: line.product_id.clone(),
                rule: "out_of_stock".to_owned(),
                message: format!("{} wanted, {left} left", line.quantity),
            })
        });
        let short: Vec<_> = short.collect();
        if short.is_empty() {
            return Ok(());
        }
        Err(Fault::conflict("out_of_stock", "There is not enough stock for some of the products").with_fields(short))
    }
}

#[tonic::async_trait]
impl CatalogService for TestCatalog {
    async fn get_products(
        &self,
        request: Request<GetProductsRequest>,
    ) -> Result<Response<GetProductsResponse>, Status> {
        let shelf = self.shelf.lock().unwrap();
        let ids = request.into_inner().product_ids;
        let products = ids.iter().filter_map(|id| shelf.products.get(id).cloned());
        Ok(Response::new(GetProductsResponse { products: products.collect() }))
    }

    async fn reserve_stock(
        &self,
        request: Request<ReserveStockRequest>,
    ) -> Result<Response<ReserveStockResponse>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        self.verifier.verify_header(authorization).map_err(to_status)?;
        let reserved = self.shelf.lock().unwrap().reserve(request.into_inner());
        reserved.map(Response::new).map_err(to_status)
    }
}
