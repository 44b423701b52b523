//! People: they fill carts, check out until they know what became of it, and remember what they were told.

use std::{sync::atomic::Ordering, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use shop_auth::Role;
use shop_faults::Account;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::shop::{PATIENCE, Shop};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

/// A product with its stock.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub id: Uuid,
}

/// What became of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ordered(Uuid),
    /// The problem's code.
    Refused(String),
}

/// One answer, or none.
type Answer = Option<(u16, Value)>;

impl Shop {
    /// Somebody new.
    pub fn person(&self, roles: &[Role]) -> Person {
        let id = Uuid::now_v7();
        self.holder(id, self.tokens.mint(id, roles))
    }

    /// Whoever holds this token.
    pub fn holder(&self, id: Uuid, token: String) -> Person {
        self.witness().accounts.push(Account { user_id: id, ..Account::default() });
        Person { id, token }
    }

    /// Somebody new who buys.
    pub fn buyer(&self) -> Person {
        self.person(&[Role::Buyer])
    }

    /// A product of a new seller, `minor` for one and `stock` of it.
    pub async fn product(&self, name: &str, minor: u32, stock: i64) -> Product {
        let seller = self.person(&[Role::Buyer, Role::Seller]);
        let body = json!({"name": name, "price": f64::from(minor) / 100.0, "status": "active"});
        let (status, made) = self.surely("product", Method::POST, "/api/v1/products", &seller, Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        let id: Uuid = made["id"].as_str().and_then(|id| id.parse().ok()).expect("a product has an id");
        let path = format!("/api/v1/products/{id}/inventory");
        let (status, set) = self.surely("product", Method::PUT, &path, &seller, Some(&json!({"stock": stock}))).await;
        assert_eq!(status, 200, "{set}");
        self.witness().stock.insert(id, stock);
        Product { id }
    }

    /// A request to one of a service's replicas; `None` when nothing came back.
    pub async fn ask(&self, service: &str, method: Method, path: &str, who: &Person, body: Option<&Value>) -> Answer {
        let replicas = self.replicas(service);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % replicas.len();
        let mut request = self.client.request(method, replicas[turn].url(path)).bearer_auth(&who.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.unwrap_or_default()))
    }

    /// The same until an answer comes that is not "try again".
    pub async fn surely(
        &self,
        service: &str,
        method: Method,
        path: &str,
        who: &Person,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(service, method.clone(), path, who, body).await;
            match answer {
                Some((status, body)) if status < 429 => return (status, body),
                other => assert!(Instant::now() < deadline, "{method} {path}: no end of {other:?}"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Puts exactly `quantity` of `product` into the cart: a repeated "add" may count twice, so it is followed by a "set".
    pub async fn put_in_cart(&self, who: &Person, product: Product, quantity: u32) {
        let item = format!("/api/v1/cart/items/{}", product.id);
        loop {
            let add = json!({"productId": product.id, "quantity": quantity});
            let (status, added) = self.surely("cart", Method::POST, "/api/v1/cart", who, Some(&add)).await;
            assert!(matches!(status, 201 | 400 | 409), "{added}");
            let set = json!({"quantity": quantity});
            match self.surely("cart", Method::PUT, &item, who, Some(&set)).await {
                (200, _) => return,
                (404, _) => {}
                other => panic!("the quantity cannot be set: {other:?}"),
            }
        }
    }

    /// Checks out until it is known what became of it, as a careful client does: the same request again.
    pub async fn check_out(&self, who: &Person, city: &str) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut doubtful = false;
        loop {
            let answer = self.send_checkout(who, city).await;
            let code = answer.as_ref().map(|(_, body)| code(body)).unwrap_or_default();
            match answer {
                Some((201, body)) => return self.told(who, read_id(&body["order_id"])),
                // What was ordered is out of the cart, and the answer that said so was lost more than moments ago.
                Some((400, _)) if doubtful => return self.told(who, self.latest_order(who).await),
                Some((409, _)) if code == "checkout_in_progress" => {}
                Some((409, _)) => {
                    let mut witness = self.witness();
                    let account = witness.accounts.iter_mut().find(|account| account.user_id == who.id);
                    account.expect("everybody has one").uncertain += usize::from(doubtful);
                    return Outcome::Refused(code);
                }
                Some((status, body)) if status < 429 => panic!("checkout: {status} {body}"),
                unknown => {
                    doubtful = true;
                    assert!(Instant::now() < deadline, "checkout: no end of {unknown:?}");
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// One try: its status, if it was answered.
    pub async fn check_out_once(&self, who: &Person, city: &str) -> Option<u16> {
        let (status, body) = self.send_checkout(who, city).await?;
        if status == 201 {
            self.told(who, read_id(&body["order_id"]));
        }
        Some(status)
    }

    async fn send_checkout(&self, who: &Person, city: &str) -> Answer {
        let address = json!({"full_name": "Ada L", "phone": "+44 1", "city": city, "street": "12 St James's Square"});
        let body = json!({"shippingAddress": address});
        self.ask("cart", Method::POST, "/api/v1/cart/checkout", who, Some(&body)).await
    }

    /// One order of `quantity` of `product`.
    pub async fn buy(&self, who: &Person, product: Product, quantity: u32, city: &str) -> Outcome {
        self.put_in_cart(who, product, quantity).await;
        self.check_out(who, city).await
    }

    /// One order that has to come about.
    pub async fn order(&self, product: Product, city: &str) -> (Person, Uuid) {
        let buyer = self.buyer();
        match self.buy(&buyer, product, 1, city).await {
            Outcome::Ordered(order) => (buyer, order),
            Outcome::Refused(code) => panic!("refused: {code}"),
        }
    }

    /// The buyer no longer wants it; `true` when that was in time.
    pub async fn cancel(&self, who: &Person, order: Uuid) -> bool {
        let path = format!("/api/v1/orders/{order}/cancel");
        let (status, body) = self.surely("order", Method::POST, &path, who, None).await;
        assert!(matches!(status, 202 | 409), "cancel: {status} {body}");
        status == 202
    }

    /// How far an order has come.
    pub async fn status(&self, who: &Person, order: Uuid) -> String {
        let (status, body) = self.surely("order", Method::GET, &format!("/api/v1/orders/{order}"), who, None).await;
        assert_eq!(status, 200, "{body}");
        body["status"].as_str().expect("an order has a status").to_owned()
    }

    /// Waits until an order has come this far.
    pub async fn becomes(&self, who: &Person, order: Uuid, status: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.status(who, order).await;
            if now == status {
                return;
            }
            assert!(Instant::now() < deadline, "order {order} is {now} and not {status}");
            sleep(PAUSE).await;
        }
    }

    /// What is in a cart: product and quantity.
    pub async fn cart(&self, who: &Person) -> Vec<(Uuid, u64)> {
        let (status, body) = self.surely("cart", Method::GET, "/api/v1/cart", who, None).await;
        assert_eq!(status, 200, "{body}");
        let items = body["items"].as_array().expect("a cart has items").iter();
        items.map(|item| (read_id(&item["productId"]), item["quantity"].as_u64().expect("a quantity"))).collect()
    }

    /// The ids of somebody's orders, newest first.
    pub async fn orders(&self, who: &Person) -> Vec<Uuid> {
        let (status, body) = self.surely("order", Method::GET, "/api/v1/orders?limit=100", who, None).await;
        assert_eq!(status, 200, "{body}");
        body["data"].as_array().expect("a list").iter().map(|order| read_id(&order["id"])).collect()
    }

    /// Redis loses all it knows of these people and products; others share the server.
    pub async fn forget(&self, people: &[&Person], products: &[Product]) {
        let client = redis::Client::open(shop_testing::variable("SHOP_TEST_REDIS_URL")).expect("a URL");
        let mut redis = client.get_multiplexed_async_connection().await.expect("Redis answers");
        let carts =
            people.iter().flat_map(|who| ["items", "attempt", "done"].map(|part| format!("cart:{part}:{}", who.id)));
        let keys: Vec<_> = carts.chain(products.iter().map(|product| format!("cart:catalog:{}", product.id))).collect();
        let () = redis::AsyncCommands::del(&mut redis, keys).await.expect("Redis answers");
    }

    async fn latest_order(&self, who: &Person) -> Uuid {
        *self.orders(who).await.first().expect("the cart is empty because of an order")
    }

    fn told(&self, who: &Person, order: Uuid) -> Outcome {
        let mut witness = self.witness();
        let account = witness.accounts.iter_mut().find(|account| account.user_id == who.id);
        account.expect("everybody has one").acknowledged.push(order);
        Outcome::Ordered(order)
    }
}

fn code(body: &Value) -> String {
    let kind = body["type"].as_str().unwrap_or_default();
    kind.rsplit(':').next().unwrap_or_default().to_owned()
}

pub fn read_id(value: &Value) -> Uuid {
    value.as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id: {value}"))
}
