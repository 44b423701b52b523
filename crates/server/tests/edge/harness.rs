//! A service of a few routes, and clients that write what they like.

use std::sync::{Arc, OnceLock};

use axum::{Json, extract::State};
use garde::Validate;
use http::StatusCode;
use serde::Deserialize;
use shop_mesh::Grpc;
use shop_proto::orders::{
    CloseCheckoutRequest, CloseCheckoutResponse, CreateOrderRequest, GetOrderStatusRequest, IdempotencyKey,
    OrderResponse,
    order_service_server::{OrderService, OrderServiceServer},
};
use shop_server::{
    Edge, Host, Limits,
    http::{Id, Params, Problem, Valid},
};
use shop_telemetry::Telemetry;
use shop_testing::{Running, TestWorld, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tonic::{Request, Response, Status, service::Routes};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Traces as in a real process: their ids are in the answers, and their headers are read.
static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

/// Requests to `/slow` are answered once this is true.
#[derive(Clone)]
struct Door(watch::Receiver<bool>);

impl Door {
    async fn pass(&mut self) {
        // The sender lives as long as the test.
        let _ = self.0.wait_for(|open| *open).await;
    }
}

#[derive(Deserialize, Validate, utoipa::ToSchema)]
struct Note {
    #[garde(length(chars, max = 100))]
    text: String,
}

#[derive(Deserialize, Validate, utoipa::IntoParams)]
struct Search {
    #[garde(inner(length(chars, max = 100)))]
    q: Option<String>,
    #[garde(inner(range(min = 1, max = 100)))]
    limit: Option<u32>,
}

#[utoipa::path(get, path = "/slow", responses((status = 200, description = "In the end")))]
async fn slow(State(mut door): State<Door>) -> &'static str {
    door.pass().await;
    "done"
}

#[utoipa::path(post, path = "/checkout", extensions(("x-priority" = json!("checkout"))), responses((status = 201, description = "Done")))]
async fn checkout() -> StatusCode {
    StatusCode::CREATED
}

#[utoipa::path(post, path = "/notes", request_body = Note, responses((status = 200, description = "Its length")))]
async fn note(Valid(note): Valid<Note>) -> Json<usize> {
    Json(note.text.len())
}

#[utoipa::path(get, path = "/notes/{id}", params(("id" = uuid::Uuid, Path)), responses((status = 200, description = "It")))]
async fn read(Id(id): Id) -> Result<String, Problem> {
    Ok(id.to_string())
}

#[utoipa::path(get, path = "/search", params(Search), responses((status = 200, description = "What was searched")))]
async fn search(Params(search): Params<Search>) -> String {
    format!("{:?} {:?}", search.q, search.limit)
}

#[derive(Clone)]
struct Orders(Door);

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(&self, _: Request<CreateOrderRequest>) -> Result<Response<OrderResponse>, Status> {
        Ok(Response::new(OrderResponse::default()))
    }

    async fn get_order_status(&self, _: Request<GetOrderStatusRequest>) -> Result<Response<OrderResponse>, Status> {
        self.0.clone().pass().await;
        Ok(Response::new(OrderResponse::default()))
    }

    async fn get_order_by_key(&self, _: Request<IdempotencyKey>) -> Result<Response<OrderResponse>, Status> {
        Err(Status::not_found("no order"))
    }

    async fn close_checkout(
        &self,
        _: Request<CloseCheckoutRequest>,
    ) -> Result<Response<CloseCheckoutResponse>, Status> {
        Ok(Response::new(CloseCheckoutResponse::default()))
    }
}

/// The service, with the door of its slow routes.
pub struct Shop {
    pub service: Running,
    door: watch::Sender<bool>,
}

impl Shop {
    pub async fn open(limits: Limits) -> Self {
        TELEMETRY.get_or_init(|| shop_telemetry::init("edge").expect("telemetry starts once"));
        let (door, passing) = watch::channel(false);
        let passing = Door(passing);
        let http = OpenApiRouter::new()
            .routes(routes!(slow))
            .routes(routes!(checkout))
            .routes(routes!(note))
            .routes(routes!(read))
            .routes(routes!(search))
            .with_state(passing.clone());
        let routes = Routes::new(OrderServiceServer::new(Orders(passing)));
        let grpc = Grpc { routes, checkout: &["/ecommerce.orders.OrderService/CreateOrder"] };
        let mut host = Host::new(Arc::new(TestWorld::new(1)));
        host.limits = limits;
        Self { service: Running::serve(Edge { http, grpc: Some(grpc) }, host).await, door }
    }

    /// From now on slow requests are answered.
    pub fn open_door(&self) {
        self.door.send_replace(true);
    }

    /// A new connection.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.service.addresses.http).await.expect("the service listens")
    }

    /// What comes back on a connection of its own, until the service closes it.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // Whoever is refused early does not get to the end of it.
        let _ = stream.write_all(bytes.as_ref()).await;
        rest_of(&mut stream).await
    }

    /// The value of a metric; `name` with its labels.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let text = self.service.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse().ok()
    }

    /// Waits until so many requests are worked on.
    pub async fn until_in_flight(&self, count: u64) {
        eventually(&format!("{count} requests are in flight"), || async {
            let now = self.metric("requests_in_flight").await;
            if now == Some(count) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    /// Still there, and as friendly as before.
    pub async fn still_serves(&self) {
        let answer = self.send("GET /search?q=tea HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// Everything until the other side closes the connection, by whatever means.
pub async fn rest_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer on a connection that stays open: head and a body of the length it names.
pub async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                return text;
            }
        }
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await.expect("the connection holds");
        assert!(read > 0, "the connection ended after {text:?}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

/// The status of a raw answer.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}
