//! What one visitor does: the mix of a real shop, in which most look and few buy.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use rand::{Rng as _, RngExt as _, rngs::StdRng};
use serde_json::{Value, json};

use super::stage::Product;
use crate::{
    http::{Answer, Connection, Request},
    pace::Visitor,
    record::Outcome,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Browse,
    Search,
    Product,
    AddToCart,
    ShowCart,
    Checkout,
    Follow,
}

/// Each flow with its share of a hundred requests.
const MIX: [(Flow, u32); 7] = [
    (Flow::Browse, 20),
    (Flow::Search, 14),
    (Flow::Product, 36),
    (Flow::AddToCart, 14),
    (Flow::ShowCart, 6),
    (Flow::Checkout, 5),
    (Flow::Follow, 5),
];

impl Flow {
    const fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Search => "search",
            Self::Product => "product",
            Self::AddToCart => "add to cart",
            Self::ShowCart => "show cart",
            Self::Checkout => "checkout",
            Self::Follow => "follow order",
        }
    }
}

/// A buyer on a connection.
pub struct Visit {
    connection: Connection,
    token: String,
    goods: Arc<[Product]>,
    random: StdRng,
    has_cart: bool,
    orders: Vec<String>,
}

impl Visit {
    /// Somebody who has just come in.
    pub fn new(connection: Connection, token: String, goods: Arc<[Product]>, random: StdRng) -> Self {
        Self { connection, token, goods, random, has_cart: false, orders: Vec::new() }
    }

    /// The buyer with the orders that were accepted, for whoever follows them.
    pub fn into_orders(self) -> (Connection, String, BTreeSet<String>) {
        (self.connection, self.token, self.orders.into_iter().collect())
    }

    /// What to do next. Nobody checks out an empty cart, or follows an order that was not made.
    fn choose(&mut self) -> Flow {
        let mut drawn = self.random.random_range(0..MIX.iter().map(|(_, share)| share).sum());
        let chosen = MIX.iter().find(|(_, share)| {
            let here = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            here
        });
        match chosen.map_or(Flow::Browse, |(flow, _)| *flow) {
            Flow::Checkout if !self.has_cart => Flow::AddToCart,
            Flow::Follow if self.orders.is_empty() => Flow::Browse,
            flow => flow,
        }
    }

    fn product(&mut self) -> usize {
        self.random.random_range(0..self.goods.len())
    }

    async fn send(&mut self, flow: Flow) -> Result<Answer, Outcome> {
        let product = self.product();
        match flow {
            Flow::Browse => {
                let path = format!("/api/v1/products?limit=20&page={}", self.random.random_range(1..=3));
                self.connection.send(Request::new(Method::GET, &path)).await
            }
            Flow::Search => {
                let words: Vec<&str> = self.goods[product].name.split_whitespace().collect();
                let word = words.get(self.random.next_u32() as usize % words.len().max(1)).unwrap_or(&"lamp");
                let word: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
                self.connection.send(Request::new(Method::GET, &format!("/api/v1/products?q={word}"))).await
            }
            Flow::Product => {
                let path = format!("/api/v1/products/{}", self.goods[product].id);
                self.connection.send(Request::new(Method::GET, &path)).await
            }
            Flow::AddToCart => {
                let body = json!({"productId": self.goods[product].id, "quantity": self.random.random_range(1..=3)});
                let request = Request::new(Method::POST, "/api/v1/cart").by(&self.token);
                self.connection.send(request.with(&body)).await
            }
            Flow::ShowCart => self.connection.send(Request::new(Method::GET, "/api/v1/cart").by(&self.token)).await,
            Flow::Checkout => {
                let request = Request::new(Method::POST, "/api/v1/cart/checkout").by(&self.token);
                self.connection.send(request.with(&address())).await
            }
            Flow::Follow => {
                let order = self.orders.last().map_or("", String::as_str);
                let path = format!("/api/v1/orders/{order}");
                self.connection.send(Request::new(Method::GET, &path).by(&self.token)).await
            }
        }
    }

    /// Remembers what matters for the next step; an accepted order without an id cannot be followed, so it is wrong.
    fn remember(&mut self, flow: Flow, answer: &Answer) -> Outcome {
        if answer.status.is_success() {
            match flow {
                Flow::AddToCart => self.has_cart = true,
                Flow::Checkout => {
                    self.has_cart = false;
                    let placed: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let Some(order) = placed["order_id"].as_str() else { return Outcome::Wrong };
                    self.orders.push(order.to_owned());
                }
                _ => {}
            }
        }
        answer.status.into()
    }
}

impl Visitor for Visit {
    async fn act(&mut self, _: u64) -> (&'static str, Outcome) {
        let flow = self.choose();
        let outcome = match self.send(flow).await {
            Ok(answer) => self.remember(flow, &answer),
            Err(outcome) => outcome,
        };
        (flow.name(), outcome)
    }
}

/// Where parcels go.
#[must_use]
pub fn address() -> Value {
    let address =
        json!({"full_name": "Load Tester", "phone": "+442071234567", "city": "London", "street": "1 Test Row"});
    json!({"shippingAddress": address})
}
