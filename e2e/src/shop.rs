//! The Shop's HTTP API, one method a route.

use std::{marker::PhantomData, time::Duration};

use anyhow::{Context as _, ensure};
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use tokio::time::sleep;

const TIMEOUT: Duration = Duration::from_secs(15);
/// A rate limit counts by the minute: after two of them it is not a limit but a refusal.
const LIMIT_RETRIES: u32 = 8;
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A city to which parcels get.
pub const LONDON: &str = "London";

/// Who somebody is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// What a login brings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// For the next pair.
    pub refresh_token: String,
}

/// Something that has an id now.
#[derive(Debug, Deserialize)]
pub struct Created {
    /// The id.
    pub id: String,
}

/// The answer to a checkout.
#[derive(Clone, Debug, Deserialize)]
pub struct Checkout {
    /// The order that was made.
    pub order_id: String,
    /// Its state.
    pub status: String,
    /// When it was made.
    pub created_at: jiff::Timestamp,
}

/// An order as its buyer sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Its state now.
    pub status: String,
    /// The payment's state.
    pub payment_status: String,
    /// In the currency's own decimals.
    pub total_amount: serde_json::Number,
    /// ISO 4217.
    pub currency: String,
    /// Every state it was in.
    pub history: Vec<Moved>,
}

/// One move of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// Into which state.
    pub status: String,
    /// When.
    pub at: jiff::Timestamp,
    /// Why, where there is a choice.
    #[serde(default)]
    pub reason: Option<String>,
}

/// One page of orders.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// How many there are in all.
    pub total: u64,
}

/// What a route answered: a `T` when it did what was asked.
#[derive(Debug)]
pub struct Answer<T> {
    /// The request, for messages.
    pub asked: String,
    /// The HTTP status.
    pub status: StatusCode,
    /// The body's media type.
    pub content_type: String,
    /// When to come again, if it says so.
    pub retry_after: Option<Duration>,
    /// The trace of the request.
    pub trace_id: Option<String>,
    /// The body.
    pub body: String,
    expected: PhantomData<T>,
}

impl<T: DeserializeOwned> Answer<T> {
    /// The value of a successful answer; otherwise what the Shop said.
    pub fn ok(self) -> anyhow::Result<T> {
        let Self { asked, status, body, .. } = self;
        ensure!(status.is_success(), "{asked} answered {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("{asked} answered something else than documented: {body}"))
    }
}

/// A client of one Shop.
pub struct Shop {
    http: Client,
    url: String,
}

/// One request, before it is sent.
pub struct Call<'a> {
    method: Method,
    path: &'a str,
    token: Option<&'a str>,
    body: Option<Value>,
}

impl<'a> Call<'a> {
    /// A request without token and body.
    #[must_use]
    pub fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, token: None, body: None }
    }

    /// Made by the user with this access token.
    #[must_use]
    pub fn by(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// With a JSON body.
    #[must_use]
    pub fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

impl Shop {
    /// A client of the Shop at `url`, which the ingress there may know by another `host`.
    pub fn at(url: &str, host: Option<&str>) -> anyhow::Result<Self> {
        let hosts = host.map(HeaderValue::from_str).transpose()?;
        let headers = hosts.into_iter().map(|host| (HOST, host)).collect();
        Ok(Self { http: Client::builder().timeout(TIMEOUT).default_headers(headers).build()?, url: url.to_owned() })
    }

    /// Sends any request. One that is over a rate limit is sent again when the Shop says so.
    pub async fn send<T>(&self, call: Call<'_>) -> anyhow::Result<Answer<T>> {
        let asked = format!("{} {}", call.method, call.path);
        let mut left = LIMIT_RETRIES;
        let response = loop {
            let response =
                self.request(&call).send().await.with_context(|| format!("{asked} at {} failed", self.url))?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS || left == 0 {
                break response;
            }
            left -= 1;
            sleep(retry_after(&response).unwrap_or(DEFAULT_RETRY_AFTER)).await;
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Answer {
            asked,
            status: response.status(),
            content_type: header(CONTENT_TYPE.as_str()).unwrap_or_default(),
            retry_after: retry_after(&response),
            trace_id: header("x-trace-id"),
            body: response.text().await?,
            expected: PhantomData,
        })
    }

    fn request(&self, call: &Call<'_>) -> reqwest::RequestBuilder {
        let request = self.http.request(call.method.clone(), format!("{}{}", self.url, call.path));
        let request = if let Some(token) = call.token { request.bearer_auth(token) } else { request };
        if let Some(body) = &call.body { request.json(body) } else { request }
    }

    /// `POST /auth/register`
    pub async fn register(&self, who: &Credentials) -> anyhow::Result<Answer<IgnoredAny>> {
        let Credentials { email, password } = who;
        let body = json!({"email": email, "password": password, "first_name": "Ada", "last_name": "Tester"});
        self.send(Call::new(Method::POST, "/api/v1/auth/register").with(body)).await
    }

    /// `GET /auth/verify-email`, by the path and query of the link in the mail.
    pub async fn verify_email(&self, link: &str) -> anyhow::Result<Answer<IgnoredAny>> {
        self.send(Call::new(Method::GET, link)).await
    }

    /// `POST /auth/login`
    pub async fn log_in(&self, who: &Credentials) -> anyhow::Result<Answer<Tokens>> {
        let body = json!({"email": who.email, "password": who.password});
        self.send(Call::new(Method::POST, "/api/v1/auth/login").with(body)).await
    }

    /// `PUT /users/apply-seller`
    pub async fn apply_seller(&self, token: &str) -> anyhow::Result<Answer<IgnoredAny>> {
        self.send(Call::new(Method::PUT, "/api/v1/users/apply-seller").by(token)).await
    }

    /// `POST /categories/`
    pub async fn create_category(&self, token: &str, name: &str) -> anyhow::Result<Answer<Created>> {
        self.send(Call::new(Method::POST, "/api/v1/categories/").by(token).with(json!({"name": name}))).await
    }

    /// `POST /products/`
    pub async fn create_product(&self, token: &str, product: Value) -> anyhow::Result<Answer<Created>> {
        self.send(Call::new(Method::POST, "/api/v1/products/").by(token).with(product)).await
    }

    /// `PUT /products/{id}/inventory`
    pub async fn set_stock(&self, token: &str, product: &str, stock: u32) -> anyhow::Result<Answer<IgnoredAny>> {
        let path = format!("/api/v1/products/{product}/inventory");
        self.send(Call::new(Method::PUT, &path).by(token).with(json!({"stock": stock}))).await
    }

    /// `POST /cart/`
    pub async fn add_to_cart(&self, token: &str, product: &str, quantity: u32) -> anyhow::Result<Answer<IgnoredAny>> {
        let body = json!({"productId": product, "quantity": quantity});
        self.send(Call::new(Method::POST, "/api/v1/cart/").by(token).with(body)).await
    }

    /// `POST /cart/checkout`
    pub async fn checkout(&self, token: &str, city: &str) -> anyhow::Result<Answer<Checkout>> {
        let (phone, street) = ("+442071234567", "12 St James's Square");
        let address = json!({"full_name": "Ada Tester", "phone": phone, "city": city, "street": street});
        let body = json!({"shippingAddress": address});
        self.send(Call::new(Method::POST, "/api/v1/cart/checkout").by(token).with(body)).await
    }

    /// `GET /orders/{id}`
    pub async fn order(&self, token: &str, id: &str) -> anyhow::Result<Answer<Order>> {
        self.send(Call::new(Method::GET, &format!("/api/v1/orders/{id}")).by(token)).await
    }

    /// `POST /orders/{id}/cancel`
    pub async fn cancel(&self, token: &str, id: &str) -> anyhow::Result<Answer<IgnoredAny>> {
        self.send(Call::new(Method::POST, &format!("/api/v1/orders/{id}/cancel")).by(token)).await
    }

    /// `GET /orders/`
    pub async fn orders(&self, token: &str) -> anyhow::Result<Answer<Page>> {
        self.send(Call::new(Method::GET, "/api/v1/orders/").by(token)).await
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
