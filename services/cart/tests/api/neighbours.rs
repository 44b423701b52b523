//! The catalog and order as the cart knows them: their gRPC contracts over one small world of products.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use shop_auth::Verifier;
use shop_core::{Fault, FieldError, RequestKey};
use shop_mesh::to_status;
use shop_proto::{
    catalog::{
        GetProductsRequest, GetProductsResponse, Product, ReserveStockRequest, ReserveStockResponse,
        catalog_service_server::{CatalogService, CatalogServiceServer},
    },
    orders::{
        CloseCheckoutRequest, CloseCheckoutResponse, CreateOrderRequest, GetOrderStatusRequest, IdempotencyKey,
        OrderResponse,
        order_service_server::{OrderService, OrderServiceServer},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes, transport::Server};
use uuid::Uuid;

/// The fingerprint of a body, and what it was answered.
type Kept = (Vec<u8>, OrderResponse);

/// What there is to buy, and what was bought.
pub struct Neighbours {
    products: Mutex<HashMap<String, Product>>,
    orders: Mutex<HashMap<String, (CreateOrderRequest, OrderResponse)>>,
    /// The ids of which no order comes any more.
    closed: Mutex<HashSet<String>>,
    /// What each user's idempotency keys stand for: the body's fingerprint, and the answer.
    keys: Mutex<HashMap<(String, String), Kept>>,
    /// The order id of every `CreateOrder` that arrived.
    calls: Mutex<Vec<String>>,
    verifier: Verifier,
    /// While it is, the catalog answers nobody.
    pub silent: watch::Sender<bool>,
    /// The next order is made, and its reply never arrives.
    pub lose_next_reply: AtomicBool,
    /// The next order is not made, and the caller learns nothing.
    pub fail_next: AtomicBool,
    /// The next caller is sent away before anything is looked up.
    pub turn_away_next: AtomicBool,
    /// The next order waits for [`Neighbours::resume`] before anything is decided.
    pub pause_next: AtomicBool,
    /// See [`Neighbours::pause_next`].
    pub resume: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Neighbours {
    /// An empty shop.
    pub fn new(verifier: Verifier) -> Arc<Self> {
        Arc::new(Self {
            products: Mutex::default(),
            orders: Mutex::default(),
            closed: Mutex::default(),
            keys: Mutex::default(),
            calls: Mutex::default(),
            verifier,
            silent: watch::Sender::new(false),
            lose_next_reply: AtomicBool::default(),
            fail_next: AtomicBool::default(),
            turn_away_next: AtomicBool::default(),
            pause_next: AtomicBool::default(),
            resume: Notify::new(),
        })
    }

    /// Puts a product on sale: 100 units of it.
    pub fn sell(&self, name: &str, price_minor: i64) -> Uuid {
        let id = Uuid::new_v4();
        let product = Product {
            id: id.to_string(),
            seller_id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            price_minor,
            currency: "USD".to_owned(),
            image_url: format!("/uploads/{name}.png"),
            available: 100,
            active: true,
        };
        lock(&self.products).insert(id.to_string(), product);
        id
    }

    /// Changes a product.
    pub fn change(&self, id: Uuid, change: impl FnOnce(&mut Product)) {
        change(lock(&self.products).get_mut(&id.to_string()).expect("a product of ours"));
    }

    /// Takes a product out of the catalog.
    pub fn withdraw(&self, id: Uuid) {
        lock(&self.products).remove(&id.to_string());
    }

    /// Every order there is.
    pub fn orders(&self) -> Vec<CreateOrderRequest> {
        lock(&self.orders).values().map(|(request, _)| request.clone()).collect()
    }

    /// The order id of every call so far.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.calls).clone()
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        Ok(self.verifier.verify_header(authorization).map_err(to_status)?.id.to_string())
    }

    /// The order that a key of `user` stands for.
    fn by_key(&self, user: &str, key: &IdempotencyKey) -> Result<Option<OrderResponse>, Status> {
        match lock(&self.keys).get(&(user.to_owned(), key.key.clone())) {
            Some((fingerprint, _)) if *fingerprint != key.fingerprint => Err(to_status(RequestKey::reused())),
            Some((_, answer)) => Ok(Some(answer.clone())),
            None => Ok(None),
        }
    }

    /// Makes the order of a key, or of an order id, once.
    fn place(&self, user: &str, request: CreateOrderRequest) -> Result<OrderResponse, Status> {
        let key = request.idempotency_key.clone();
        if let Some(key) = &key
            && let Some(answer) = self.by_key(user, key)?
        {
            return Ok(answer);
        }
        let before = lock(&self.orders).get(&request.order_id).map(|(_, answer)| answer.clone());
        let answer = if let Some(answer) = before {
            answer
        } else if lock(&self.closed).contains(&request.order_id) {
            return Err(to_status(Fault::conflict("checkout_expired", "This checkout ended")));
        } else {
            let total_minor = self.decide(&request).map_err(to_status)?;
            let answer = OrderResponse {
                order_id: request.order_id.clone(),
                status: "CREATED".to_owned(),
                created_at: Timestamp::now().to_string(),
                total_minor,
                currency: "USD".to_owned(),
            };
            lock(&self.orders).entry(request.order_id.clone()).or_insert((request, answer)).1.clone()
        };
        if let Some(IdempotencyKey { key, fingerprint }) = key {
            lock(&self.keys).entry((user.to_owned(), key)).or_insert((fingerprint, answer.clone()));
        }
        Ok(answer)
    }

    /// The total in minor units, if the order can be.
    fn decide(&self, request: &CreateOrderRequest) -> Result<i64, Fault> {
        let products = lock(&self.products);
        let mut short = Vec::new();
        let mut total = 0;
        for item in &request.items {
            let product = products.get(&item.product_id).ok_or_else(|| Fault::conflict("not_for_sale", "Gone"))?;
            total += product.price_minor * i64::from(item.quantity);
            if product.available < i64::from(item.quantity) {
                let message = format!("{} wanted, {} left", item.quantity, product.available);
                short.push(FieldError { field: item.product_id.clone(), rule: "out_of_stock".to_owned(), message });
            }
        }
        if !short.is_empty() {
            return Err(Fault::conflict("out_of_stock", "There is not enough stock").with_fields(short));
        }
        match request.expected_total_minor {
            Some(expected) if expected != total => Err(Fault::conflict("price_changed", "The total has changed")),
            _ => Ok(total),
        }
    }
}

#[tonic::async_trait]
impl CatalogService for Neighbours {
    async fn get_products(
        &self,
        request: Request<GetProductsRequest>,
    ) -> Result<Response<GetProductsResponse>, Status> {
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
        let products = lock(&self.products);
        let ids = request.into_inner().product_ids;
        let products = ids.iter().filter_map(|id| products.get(id).cloned()).collect();
        Ok(Response::new(GetProductsResponse { products }))
    }

    async fn reserve_stock(&self, _: Request<ReserveStockRequest>) -> Result<Response<ReserveStockResponse>, Status> {
        Err(Status::permission_denied("the cart reserves nothing"))
    }
}

#[tonic::async_trait]
impl OrderService for Neighbours {
    async fn create_order(&self, request: Request<CreateOrderRequest>) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        assert_eq!(caller, request.user_id, "an order is for the caller");
        lock(&self.calls).push(request.order_id.clone());
        if self.turn_away_next.swap(false, Ordering::SeqCst) {
            return Err(to_status(Fault::unauthenticated("Your token has expired")));
        }
        if self.pause_next.swap(false, Ordering::SeqCst) {
            self.resume.notified().await;
        }
        if self.fail_next.swap(false, Ordering::SeqCst) {
            return Err(Status::unavailable("connection reset"));
        }
        let answer = self.place(&caller, request)?;
        if self.lose_next_reply.swap(false, Ordering::SeqCst) {
            return Err(Status::unavailable("connection reset"));
        }
        Ok(Response::new(answer))
    }

    async fn get_order_status(
        &self,
        request: Request<GetOrderStatusRequest>,
    ) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request)?;
        let id = request.into_inner().order_id;
        match lock(&self.orders).get(&id) {
            Some((order, answer)) if order.user_id == caller => Ok(Response::new(answer.clone())),
            _ => Err(to_status(Fault::not_found("Order"))),
        }
    }

    async fn get_order_by_key(&self, request: Request<IdempotencyKey>) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request)?;
        let found = self.by_key(&caller, request.get_ref())?;
        found.map(Response::new).ok_or_else(|| to_status(Fault::not_found("Order")))
    }

    async fn close_checkout(
        &self,
        request: Request<CloseCheckoutRequest>,
    ) -> Result<Response<CloseCheckoutResponse>, Status> {
        self.caller(&request)?;
        let id = request.into_inner().order_id;
        let order = lock(&self.orders).get(&id).map(|(_, answer)| answer.clone());
        if order.is_none() {
            lock(&self.closed).insert(id);
        }
        Ok(Response::new(CloseCheckoutResponse { order }))
    }
}

/// A gRPC server that answers until it is stopped.
pub struct Running {
    /// Where.
    pub url: String,
    stop: CancellationToken,
}

impl Running {
    /// The catalog.
    pub async fn catalog(neighbours: &Arc<Neighbours>) -> Self {
        Self::start(Routes::new(CatalogServiceServer::from_arc(Arc::clone(neighbours)))).await
    }

    /// The order service.
    pub async fn orders(neighbours: &Arc<Neighbours>) -> Self {
        Self::start(Routes::new(OrderServiceServer::from_arc(Arc::clone(neighbours)))).await
    }

    async fn start(routes: Routes) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let stop = CancellationToken::new();
        let until = stop.clone().cancelled_owned();
        tokio::spawn(
            Server::builder().add_routes(routes).serve_with_incoming_shutdown(TcpListenerStream::new(listener), until),
        );
        Self { url, stop }
    }

    /// Stops it: new connections are refused.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
