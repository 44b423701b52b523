//! One cart service with a buyer in front of it.

use std::{num::NonZeroU32, sync::Arc};

use redis::aio::MultiplexedConnection;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shop_auth::{Role, Verifier};
use shop_cart::{App, Config};
use shop_config::{Peer, Retries, Url};
use shop_server::Host;
use shop_testing::{Running, TestBroker, TestTokens, TestWorld, variable};
use uuid::Uuid;

use crate::neighbours::{self, Neighbours};

/// The service and everything around it.
pub struct Shop {
    /// The catalog's and order's world.
    pub neighbours: Arc<Neighbours>,
    /// The catalog's server.
    pub catalog: neighbours::Running,
    /// The service's broker.
    pub broker: TestBroker,
    /// The service.
    pub cart: Running,
    world: Arc<TestWorld>,
    config: Config,
    tokens: TestTokens,
    _orders: neighbours::Running,
}

/// Somebody with a cart.
pub struct Buyer<'a> {
    shop: &'a Shop,
    /// What it comes in with.
    pub token: String,
    /// The user.
    pub id: Uuid,
}

/// Status and body.
pub type Answer = (u16, Value);

impl Shop {
    /// Starts all of it.
    pub async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    /// The same, with other settings.
    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let (broker, tokens) = (TestBroker::create().await, TestTokens::create());
        let neighbours = Neighbours::new(Verifier::from_config(&tokens.config()).expect("our own keys"));
        let catalog = neighbours::Running::catalog(&neighbours).await;
        let orders = neighbours::Running::orders(&neighbours).await;
        let mut config = Config {
            auth: tokens.config(),
            redis: Url::from(variable("SHOP_TEST_REDIS_URL")),
            amqp: broker.config.clone(),
            catalog: Peer::at(&catalog.url),
            // One try, so that an unlucky call fails as it does when all its tries are unlucky.
            orders: Peer {
                retries: Retries { attempts: NonZeroU32::MIN, ..Retries::default() },
                ..Peer::at(&orders.url)
            },
            currency: "USD".parse().expect("a currency"),
        };
        change(&mut config);
        let world = Arc::new(TestWorld::new(Uuid::new_v4().as_u64_pair().0));
        let cart = serve(&config, &world).await;
        Self { neighbours, catalog, broker, cart, world, config, tokens, _orders: orders }
    }

    /// A new process in place of the one that runs.
    pub async fn restart(&mut self) {
        let new = serve(&self.config, &self.world).await;
        std::mem::replace(&mut self.cart, new).stop().await;
    }

    /// Takes everything of `buyer` out of Redis.
    pub async fn forget(&self, buyer: Uuid) {
        let mut redis = self.redis().await;
        let keys = ["items", "attempt", "done"].map(|kind| format!("cart:{kind}:{buyer}"));
        redis::cmd("DEL").arg(&keys).exec_async(&mut redis).await.expect("Redis answers");
    }

    async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.config.redis.url.expose_secret()).expect("a good URL");
        client.get_multiplexed_async_connection().await.expect("Redis is there")
    }

    /// A buyer with an empty cart.
    pub fn buyer(&self) -> Buyer<'_> {
        self.buyer_again(Uuid::new_v4())
    }

    /// A buyer who was here before.
    pub fn buyer_again(&self, id: Uuid) -> Buyer<'_> {
        Buyer { shop: self, token: self.tokens.mint(id, &[Role::Buyer]), id }
    }

    /// Somebody with an empty cart.
    pub fn person(&self, roles: &[Role]) -> Buyer<'_> {
        let id = Uuid::new_v4();
        Buyer { shop: self, token: self.tokens.mint(id, roles), id }
    }

    /// The service's OpenAPI document.
    pub async fn document(&self) -> Value {
        self.cart.document().await
    }

    /// Any call, by whoever has `token`.
    pub async fn call(&self, token: Option<&str>, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.cart.client.request(method, self.cart.url(path));
        let request = token.iter().fold(request, RequestBuilder::bearer_auth);
        read(body.iter().fold(request, RequestBuilder::json)).await
    }

    /// A call without a token.
    pub async fn as_stranger(&self, method: Method, path: &str) -> Answer {
        self.call(None, method, path, None).await
    }

    /// Publishes an event as the product service does.
    pub async fn tell(&self, kind: &str, at: jiff::Timestamp, payload: Value) {
        use lapin::{
            BasicProperties, Connection, ConnectionProperties,
            options::BasicPublishOptions,
            types::{AMQPValue, FieldTable},
        };
        let url = self.broker.config.url.expose_secret();
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        let mut headers = FieldTable::default();
        for (name, value) in [("id", Uuid::new_v4().to_string()), ("type", kind.to_owned()), ("time", at.to_string())] {
            headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default().with_headers(headers);
        let body = payload.to_string();
        channel
            .basic_publish("product_events".into(), kind.into(), options, body.as_bytes(), properties)
            .await
            .expect("it is published");
        connection.close(200, "bye".into()).await.expect("it is closed");
    }
}

impl Buyer<'_> {
    /// Any call.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.shop.call(Some(&self.token), method, path, body).await
    }

    /// A call with a JSON text as it is.
    pub async fn call_text(&self, method: Method, path: &str, json: &str) -> Answer {
        let cart = &self.shop.cart;
        let request = cart.client.request(method, cart.url(path)).bearer_auth(&self.token);
        read(request.header("content-type", "application/json").body(json.to_owned())).await
    }

    /// A POST with an idempotency key.
    pub async fn keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        let cart = &self.shop.cart;
        let request = cart.client.post(cart.url(path)).bearer_auth(&self.token).header("Idempotency-Key", key);
        read(request.json(body)).await
    }

    /// Puts something in the cart.
    pub async fn add(&self, product: Uuid, quantity: u32) -> Answer {
        self.call(Method::POST, "/api/v1/cart", Some(json!({ "productId": product, "quantity": quantity }))).await
    }

    /// Takes something out.
    pub async fn remove(&self, product: Uuid) -> Answer {
        self.call(Method::DELETE, &format!("/api/v1/cart/items/{product}"), None).await
    }

    /// Looks at the cart.
    pub async fn cart(&self) -> Value {
        let (status, cart) = self.call(Method::GET, "/api/v1/cart", None).await;
        assert_eq!(status, 200, "{cart}");
        cart
    }

    /// What is in the cart: name and quantity.
    pub async fn contents(&self) -> Vec<(String, u64)> {
        let cart = self.cart().await;
        let items = cart["items"].as_array().expect("items").iter();
        items
            .map(|item| {
                let name = item["productName"].as_str().unwrap_or_default().to_owned();
                (name, item["quantity"].as_u64().unwrap_or_default())
            })
            .collect()
    }

    /// Orders it.
    pub async fn checkout(&self) -> Answer {
        self.call(Method::POST, "/api/v1/cart/checkout", Some(order())).await
    }
}

/// A checkout that says all that is needed.
pub fn order() -> Value {
    json!({ "shippingAddress": {
        "full_name": "Ada Lovelace", "phone": "+44 20 7946 0000", "city": "London", "street": "12 St James's Square",
    } })
}

async fn serve(config: &Config, world: &Arc<TestWorld>) -> Running {
    let cart = Running::start::<App>(config.clone(), Host::new(Arc::clone(world) as _)).await;
    cart.ready().await;
    cart
}

async fn read(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the cart answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
}
