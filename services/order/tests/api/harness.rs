//! A running order service with everything around it, and the people who use it.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;
use shop_auth::{Role, Verifier};
use shop_config::{Peer as PeerConfig, Span};
use shop_mesh::{Peer, for_caller};
use shop_order::{App, config::Config};
use shop_proto::{
    events::{DeliveryDelivered, DeliveryShipped, InventoryUnclaimed, OrderCanceled, PaymentPending, PaymentSucceeded},
    orders::{
        Address, CloseCheckoutRequest, CloseCheckoutResponse, CreateOrderRequest, GetOrderStatusRequest,
        IdempotencyKey, OrderItem, OrderResponse, order_service_client::OrderServiceClient,
    },
};
use shop_server::Host;
use shop_testing::{Neighbours, Running, TestBroker, TestDatabase, TestTokens, TestWorld, eventually};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::catalog::TestCatalog;

/// How long an order may stay unpaid.
pub const EXPIRY: Duration = Duration::from_mins(10);

/// One user.
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

/// The service on stores of its own.
pub struct Shop {
    pub world: Arc<TestWorld>,
    pub database: TestDatabase,
    pub broker: TestBroker,
    pub catalog: TestCatalog,
    pub service: Running,
    config: Config,
    pub tokens: TestTokens,
    orders: OrderServiceClient<Peer>,
}

impl Shop {
    /// A shop that is ready, and its neighbours.
    pub async fn open() -> (Self, Neighbours) {
        let broker = TestBroker::create().await;
        let neighbours = Neighbours::of(&broker).await;
        let shop = Self::with_broker(broker).await;
        shop.service.ready().await;
        (shop, neighbours)
    }

    /// A shop that is started and may not be ready yet.
    pub async fn with_broker(broker: TestBroker) -> Self {
        let database = TestDatabase::create(&shop_order::migrations()).await;
        let tokens = TestTokens::create();
        let (catalog, url) = TestCatalog::start(Verifier::from_config(&tokens.config()).unwrap()).await;
        let config = Config {
            auth: tokens.config(),
            postgres: database.config.clone(),
            amqp: broker.config.clone(),
            catalog: PeerConfig::at(url),
            currency: "USD".parse().unwrap(),
            unpaid_expiry: Span(EXPIRY),
        };
        let world = Arc::new(TestWorld::new(1));
        let (service, orders) = serve(&config, &world).await;
        Self { world, database, broker, catalog, service, config, tokens, orders }
    }

    /// The same shop with a new process.
    pub async fn restart(self) -> Self {
        self.service.stop().await;
        let (service, orders) = serve(&self.config, &self.world).await;
        service.ready().await;
        Self { service, orders, ..self }
    }

    /// Another replica, started now.
    pub async fn replica(&self) -> Running {
        let service = Running::start::<App>(self.config.clone(), Host::new(self.world.clone())).await;
        service.ready().await;
        service
    }

    /// Somebody new.
    pub fn person(&self, roles: &[Role]) -> Person {
        let id = Uuid::now_v7();
        Person { id, token: self.tokens.mint(id, roles) }
    }

    /// Somebody new who buys.
    pub fn buyer(&self) -> Person {
        self.person(&[Role::Buyer])
    }

    /// Asks `CreateOrder` with `person`'s token.
    pub async fn create(&self, person: &Person, request: CreateOrderRequest) -> Result<OrderResponse, Status> {
        Ok(self.try_create(Some(person), request).await?.into_inner())
    }

    /// Asks `CreateOrder` with somebody's token, or without any.
    pub async fn try_create(
        &self,
        person: Option<&Person>,
        request: CreateOrderRequest,
    ) -> Result<Response<OrderResponse>, Status> {
        self.orders.clone().create_order(by(person, request)?).await
    }

    /// Asks `GetOrderStatus` with `person`'s token.
    pub async fn status(&self, person: &Person, order: Uuid) -> Result<OrderResponse, Status> {
        Ok(self.try_status(Some(person), &order.to_string()).await?.into_inner())
    }

    /// Asks `GetOrderStatus` with somebody's token, or without any.
    pub async fn try_status(&self, person: Option<&Person>, order: &str) -> Result<Response<OrderResponse>, Status> {
        let message = GetOrderStatusRequest { order_id: order.to_owned() };
        self.orders.clone().get_order_status(by(person, message)?).await
    }

    /// Asks `GetOrderByKey` with `person`'s token.
    pub async fn by_key(&self, person: &Person, key: IdempotencyKey) -> Result<OrderResponse, Status> {
        Ok(self.try_by_key(Some(person), key).await?.into_inner())
    }

    /// Asks `GetOrderByKey` with somebody's token, or without any.
    pub async fn try_by_key(
        &self,
        person: Option<&Person>,
        key: IdempotencyKey,
    ) -> Result<Response<OrderResponse>, Status> {
        self.orders.clone().get_order_by_key(by(person, key)?).await
    }

    /// Asks `CloseCheckout` with `person`'s token; the order that there is.
    pub async fn close(&self, person: &Person, order: Uuid) -> Result<Option<OrderResponse>, Status> {
        Ok(self.try_close(Some(person), order).await?.into_inner().order)
    }

    /// Asks `CloseCheckout` with somebody's token, or without any.
    pub async fn try_close(
        &self,
        person: Option<&Person>,
        order: Uuid,
    ) -> Result<Response<CloseCheckoutResponse>, Status> {
        let message = CloseCheckoutRequest { order_id: order.to_string() };
        self.orders.clone().close_checkout(by(person, message)?).await
    }

    /// An order of one kettle for 19.99 USD.
    pub async fn order_a_kettle(&self, buyer: &Person) -> Uuid {
        let kettle = self.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
        let order = Uuid::now_v7();
        self.create(buyer, checkout(buyer, order, &[(kettle, 1)])).await.unwrap();
        order
    }

    /// An order of one kettle that is paid.
    pub async fn pay_for_a_kettle(&self, buyer: &Person, neighbours: &Neighbours) -> Uuid {
        let order = self.order_a_kettle(buyer).await;
        self.handled(neighbours.publish(&succeeded(order)).await).await;
        order
    }

    /// A request of the public API: status and body.
    pub async fn http(&self, method: Method, person: &Person, path: &str) -> (u16, Value) {
        let request = self.service.client.request(method, self.service.url(path)).bearer_auth(&person.token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// What the buyer sees of an order.
    pub async fn view(&self, buyer: &Person, order: Uuid) -> Value {
        let (status, body) = self.http(Method::GET, buyer, &format!("/api/v1/orders/{order}")).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The buyer cancels.
    pub async fn cancel(&self, buyer: &Person, order: Uuid) -> (u16, Value) {
        self.http(Method::POST, buyer, &format!("/api/v1/orders/{order}/cancel")).await
    }

    /// Waits until the buyer sees the order with this status.
    pub async fn becomes(&self, buyer: &Person, order: Uuid, status: &str) -> Value {
        eventually(&format!("the order is {status}"), || async {
            let body = self.view(buyer, order).await;
            if body["status"] == status { Ok(body) } else { Err(body.to_string()) }
        })
        .await
    }

    /// Waits until `neighbours` heard of `order` what the service has to tell, and holds that to be `kinds` and no more.
    pub async fn tells(&self, neighbours: &Neighbours, order: Uuid, kinds: &[&str]) {
        let query = "SELECT routing_key FROM outbox WHERE payload->>'orderId' = $1 ORDER BY seq";
        let query = sqlx::query_scalar(query).bind(order.to_string());
        let told: Vec<String> = query.fetch_all(&self.database.pool).await.unwrap();
        assert_eq!(told, kinds);
        eventually("the neighbours hear it", || async {
            let seen = neighbours.seen(order).into_iter().map(|event| event.kind);
            let seen: Vec<String> = seen.filter(|kind| kind.starts_with("order.")).collect();
            if seen == kinds { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    /// Waits until the last `order.canceled` that `neighbours` heard of `order` has this reason.
    pub async fn cancels(&self, neighbours: &Neighbours, order: Uuid, reason: &str) {
        eventually(&format!("the order is canceled: {reason}"), || async {
            let last = neighbours.all::<OrderCanceled>(order).pop().unwrap_or_default();
            if last.reason == reason { Ok(()) } else { Err(format!("{last:?}")) }
        })
        .await;
    }

    /// Waits until `/metrics` has this line.
    pub async fn counts(&self, line: &str) {
        let url = format!("http://{}/metrics", self.service.addresses.admin);
        eventually(line, || async {
            let text = self.service.client.get(&url).send().await.unwrap().text().await.unwrap();
            if text.lines().any(|found| found == line) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Waits until the service has committed what it does about an event.
    pub async fn handled(&self, event: Uuid) {
        eventually("the event is handled", || async {
            let query = sqlx::query_scalar("SELECT count(*) FROM inbox WHERE event_id = $1").bind(event);
            let found: i64 = query.fetch_one(&self.database.pool).await.unwrap();
            if found == 1 { Ok(()) } else { Err("not in the inbox".to_owned()) }
        })
        .await;
    }
}

async fn serve(config: &Config, world: &Arc<TestWorld>) -> (Running, OrderServiceClient<Peer>) {
    let service = Running::start::<App>(config.clone(), Host::new(Arc::clone(world) as _)).await;
    let orders = OrderServiceClient::new(service.peer("cart", "order"));
    (service, orders)
}

/// A checkout of `lines`, product and quantity. Its price is a lie.
pub fn checkout(buyer: &Person, order: Uuid, lines: &[(Uuid, i32)]) -> CreateOrderRequest {
    let items = lines.iter().map(|(product, quantity)| OrderItem {
        product_id: product.to_string(),
        quantity: *quantity,
        unit_price: 0.01,
        product_name: "cheap".to_owned(),
        ..OrderItem::default()
    });
    CreateOrderRequest {
        user_id: buyer.id.to_string(),
        items: items.collect(),
        shipping_address: Some(Address {
            full_name: "Ada Lovelace".to_owned(),
            phone: "+44 20 7946 0000".to_owned(),
            city: "London".to_owned(),
            street: "12 St James's Square".to_owned(),
        }),
        total_amount: 0.01,
        order_id: order.to_string(),
        expected_total_minor: None,
        idempotency_key: None,
    }
}

/// A call made for `person`, or for nobody.
fn by<T>(person: Option<&Person>, message: T) -> Result<Request<T>, Status> {
    match person {
        Some(person) => for_caller(message, &SecretString::from(person.token.clone())),
        None => Ok(Request::new(message)),
    }
}

/// The reasons in an order's history, oldest first.
pub fn reasons(view: &Value) -> Vec<&str> {
    view["history"].as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap()).collect()
}

pub fn pending(order: Uuid) -> PaymentPending {
    PaymentPending { order_id: order.to_string(), payment_id: "p".to_owned() }
}

/// The catalog asks what became of the stock it set aside.
pub fn unclaimed(buyer: &Person, order: Uuid) -> InventoryUnclaimed {
    InventoryUnclaimed { order_id: order.to_string(), user_id: buyer.id.to_string() }
}

/// Payment for one kettle.
pub fn succeeded(order: Uuid) -> PaymentSucceeded {
    let (order_id, payment_id) = (order.to_string(), "p".to_owned());
    PaymentSucceeded { order_id, payment_id, amount_minor: 1999, currency: "USD".to_owned() }
}

pub fn shipped(order: Uuid) -> DeliveryShipped {
    DeliveryShipped { order_id: order.to_string(), delivery_id: "d".to_owned() }
}

pub fn delivered(order: Uuid) -> DeliveryDelivered {
    DeliveryDelivered { order_id: order.to_string(), delivery_id: "d".to_owned() }
}
