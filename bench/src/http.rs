//! One connection to a server, kept open: what a load is counted in.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::time::timeout;

use crate::record::Outcome;

/// Who waits longer has gone away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request after the other over one connection; it is made anew when the server closes it.
pub struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    origin: String,
}

/// What a server answered.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// One request.
pub struct Request<'a> {
    method: Method,
    path: &'a str,
    token: Option<&'a str>,
    body: Bytes,
}

impl<'a> Request<'a> {
    /// A request without token and body.
    #[must_use]
    pub fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, token: None, body: Bytes::new() }
    }

    /// Made by the user with this access token.
    #[must_use]
    pub fn by(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// With a JSON body.
    #[must_use]
    pub fn with(self, body: &Value) -> Self {
        Self { body: body.to_string().into(), ..self }
    }
}

/// How all connections of a program speak TLS.
pub fn tls() -> anyhow::Result<ClientConfig> {
    // Already installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

impl Connection {
    /// A connection to `origin`, such as `http://127.0.0.1:8080`, made with the first request.
    #[must_use]
    pub fn to(origin: &str, tls: &ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(tls.wrap_connector(tcp));
        Self { client, origin: origin.to_owned() }
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, Outcome> {
        let exchange = async {
            let response = self.client.request(self.build(request)?).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok(Answer { status, body })
        };
        match timeout(PATIENCE, exchange).await {
            Ok(answer) => answer.map_err(|_| Outcome::ConnectionLost),
            Err(_) => Err(Outcome::TimedOut),
        }
    }

    /// The same for whoever cannot go on without the answer.
    pub async fn json(&self, request: Request<'_>) -> anyhow::Result<Value> {
        let asked = format!("{} {}{}", request.method, self.origin, request.path);
        let answer = self.send(request).await.map_err(|outcome| anyhow::anyhow!("{asked}: {outcome}"))?;
        let text = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!(answer.status.is_success(), "{asked} answered {}: {text}", answer.status);
        serde_json::from_str(&text).with_context(|| format!("{asked} answered something else than JSON: {text}"))
    }

    fn build(&self, request: Request<'_>) -> http::Result<http::Request<Full<Bytes>>> {
        let Request { method, path, token, body } = request;
        let mut built = http::Request::builder().method(method).uri(format!("{}{path}", self.origin));
        if let Some(token) = token {
            built = built.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            built = built.header(CONTENT_TYPE, "application/json");
        }
        built.body(Full::new(body))
    }
}
