//! A running product service with a database, a virtual host and a clock of its own.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::join_all};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use shop_auth::Role;
use shop_config::Span;
use shop_core::{Fault, World as _};
use shop_mesh::{Peer, for_caller, from_status};
use shop_product::{
    App,
    config::{Bucket, Config},
    migrations,
};
use shop_proto::{
    catalog::{
        ReservationLine, ReserveStockRequest, ReserveStockResponse, catalog_service_client::CatalogServiceClient,
    },
    events::{Event, ORDER_EVENTS, PRODUCT_EVENTS},
};
use shop_server::{Host, Service as _};
use shop_testing::{Running, TestBroker, TestDatabase, TestTokens, TestWorld, eventually};
use tokio::{sync::Mutex, time::timeout};
use uuid::Uuid;

/// How long stock is set aside in these tests, by their own clock.
const RESERVATION: Duration = Duration::from_mins(30);

/// Everything a test needs.
pub struct Shop {
    pub service: Running,
    pub database: TestDatabase,
    pub world: Arc<TestWorld>,
    /// The catalog as its neighbours call it.
    pub catalog: CatalogServiceClient<Peer>,
    config: Config,
    tokens: TestTokens,
    channel: Channel,
    heard: Mutex<lapin::Consumer>,
    _connection: Connection,
    _broker: TestBroker,
}

/// Somebody with a token.
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

impl Shop {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A shop that keeps its pictures in a bucket.
    pub async fn start_with(images: Option<Bucket>) -> Self {
        // The future of a whole service is large, and every test would carry it.
        Box::pin(Self::start_all(images)).await
    }

    async fn start_all(images: Option<Bucket>) -> Self {
        let (database, broker, tokens) =
            (TestDatabase::create(&migrations()).await, TestBroker::create().await, TestTokens::create());
        let world = Arc::new(TestWorld::new(1));
        let (connection, channel, heard) = listen(&broker).await;
        let config = Config {
            auth: tokens.config(),
            postgres: database.config.clone(),
            amqp: broker.config.clone(),
            currency: "USD".parse().expect("a currency"),
            reservation: Span(RESERVATION),
            images,
        };
        let (service, catalog) = serve(&config, &world).await;
        let heard = Mutex::new(heard);
        Self {
            service,
            database,
            world,
            catalog,
            config,
            tokens,
            channel,
            heard,
            _connection: connection,
            _broker: broker,
        }
    }

    /// The same shop with a new process.
    pub async fn restart(self) -> Self {
        let images = self.config.images.clone();
        self.restart_with(images).await
    }

    /// The same shop with a new process and another place for its pictures.
    pub async fn restart_with(self, images: Option<Bucket>) -> Self {
        self.service.stop().await;
        let config = Config { images, ..self.config };
        let (service, catalog) = Box::pin(serve(&config, &self.world)).await;
        Self { service, catalog, config, ..self }
    }

    /// Migrates again, for a Shop with this currency.
    pub async fn migrate_with(&self, currency: &str) -> anyhow::Result<()> {
        let config = Config { currency: currency.parse().expect("a currency"), ..self.config.clone() };
        App::migrate(config, &Host::new(Arc::clone(&self.world) as _)).await
    }

    /// Another replica, started now, with a clock of its own or the same.
    pub async fn replica(&self, world: Arc<TestWorld>) -> Running {
        let service = Running::start::<App>(self.config.clone(), Host::new(world)).await;
        service.ready().await;
        service
    }

    pub fn person(&self, roles: &[Role]) -> Person {
        let id = Uuid::new_v4();
        Person { id, token: self.tokens.mint(id, roles) }
    }

    pub fn seller(&self) -> Person {
        self.person(&[Role::Buyer, Role::Seller])
    }

    pub fn buyer(&self) -> Person {
        self.person(&[Role::Buyer])
    }

    pub fn admin(&self) -> Person {
        self.person(&[Role::Buyer, Role::Admin])
    }

    pub fn request(&self, method: Method, path: &str, person: Option<&Person>) -> RequestBuilder {
        let request = self.service.client.request(method, self.service.url(path));
        match person {
            Some(person) => request.bearer_auth(&person.token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str, person: Option<&Person>) -> (u16, Value) {
        answer(self.request(Method::GET, path, person)).await
    }

    pub async fn post(&self, path: &str, person: &Person, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, path, Some(person)).json(body)).await
    }

    pub async fn put(&self, path: &str, person: &Person, body: &Value) -> (u16, Value) {
        answer(self.request(Method::PUT, path, Some(person)).json(body)).await
    }

    /// An active product with `stock`; its id.
    pub async fn product(&self, seller: &Person, name: &str, stock: i64) -> String {
        let body = json!({"name": name, "price": 19.99, "status": "active"});
        let (status, product) = self.post("/api/v1/products", seller, &body).await;
        assert_eq!(status, 201, "{product}");
        let id = product["id"].as_str().expect("an id").to_owned();
        let (status, answer) =
            self.put(&format!("/api/v1/products/{id}/inventory"), seller, &json!({"stock": stock})).await;
        assert_eq!((status, answer), (200, json!({"product_id": id, "stock": stock})));
        id
    }

    /// Stock, reserved and available of a product.
    pub async fn stock(&self, product: &str) -> [i64; 3] {
        let (status, answer) = self.get(&format!("/api/v1/products/{product}/inventory"), None).await;
        assert_eq!(status, 200, "{answer}");
        ["stock", "reserved", "available"].map(|field| answer[field].as_i64().expect("a number"))
    }

    pub async fn stock_becomes(&self, product: &str, expected: [i64; 3]) {
        eventually(&format!("the stock is {expected:?}"), || async {
            let stock = self.stock(product).await;
            if stock == expected { Ok(()) } else { Err(format!("{stock:?}")) }
        })
        .await;
    }

    pub async fn reserve(
        &self,
        buyer: &Person,
        order: Uuid,
        lines: &[(&str, i32)],
    ) -> Result<ReserveStockResponse, Fault> {
        let lines =
            lines.iter().map(|(id, quantity)| ReservationLine { product_id: (*id).to_owned(), quantity: *quantity });
        let request = ReserveStockRequest { order_id: order.to_string(), lines: lines.collect() };
        let request = for_caller(request, &SecretString::from(buyer.token.clone())).expect("an ASCII token");
        let reserved = self.catalog.clone().reserve_stock(request).await;
        reserved.map(tonic::Response::into_inner).map_err(|status| from_status("The catalog", status))
    }

    /// Publishes an event as a neighbour's relay does.
    pub async fn publish<E: Event>(&self, id: Uuid, event: &E) {
        let mut headers = FieldTable::default();
        let (id, time) = (id.to_string(), self.world.now().to_string());
        for (name, value) in
            [("specversion", "1.0"), ("id", &id), ("type", E::ROUTE.key), ("source", "/test"), ("time", &time)]
        {
            headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
        }
        let payload = serde_json::to_vec(event).expect("an event is JSON");
        let properties = BasicProperties::default().with_headers(headers);
        let (exchange, key) = (E::ROUTE.exchange.into(), E::ROUTE.key.into());
        let confirm =
            self.channel.basic_publish(exchange, key, BasicPublishOptions::default(), &payload, properties).await;
        confirm.expect("the broker is there").await.expect("the broker takes it");
    }

    /// The next event the service publishes of this kind; those before it are passed over.
    pub async fn hear<E: Event>(&self) -> E {
        let mut heard = self.heard.lock().await;
        let next = async {
            loop {
                let delivery = heard.next().await.expect("the broker is there").expect("a delivery");
                if delivery.routing_key.as_str() == E::ROUTE.key {
                    return serde_json::from_slice(&delivery.data).expect("a payload of its kind");
                }
            }
        };
        timeout(Duration::from_secs(30), next).await.unwrap_or_else(|_| panic!("no {} within 30 s", E::ROUTE.key))
    }
}

async fn serve(config: &Config, world: &Arc<TestWorld>) -> (Running, CatalogServiceClient<Peer>) {
    let service = Running::start::<App>(config.clone(), Host::new(Arc::clone(world) as _)).await;
    service.ready().await;
    let catalog = CatalogServiceClient::new(service.peer("order", "product"));
    (service, catalog)
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the service answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The names of the fields a problem complains about, each once.
pub fn fields_of(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// The names of the products of a list, in its order.
pub fn names_of(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().filter_map(|product| product["name"].as_str()).collect()
}

/// A queue that gets every event of the Shop.
async fn listen(broker: &TestBroker) -> (Connection, Channel, lapin::Consumer) {
    let url = broker.config.url.expose_secret();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker is there");
    let channel = connection.create_channel().await.expect("a channel");
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("test".into(), options, FieldTable::default()).await.expect("a queue");
    let bindings = [ORDER_EVENTS, PRODUCT_EVENTS].map(|exchange| bind(&channel, exchange));
    join_all(bindings).await;
    let consumer = channel
        .basic_consume(
            "test".into(),
            "".into(),
            BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() },
            FieldTable::default(),
        )
        .await
        .expect("a consumer");
    (connection, channel, consumer)
}

async fn bind(channel: &Channel, exchange: &'static str) {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await;
    declared.expect("an exchange");
    let bound = channel.queue_bind(
        "test".into(),
        exchange.into(),
        "#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("a binding");
}
