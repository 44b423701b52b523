//! The door between an operator and the API server: a layer of the Kubernetes client that records what passes, and lets one
//! thing go wrong.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use http::{Method, Request, Response, StatusCode, Uri};
use kube::client::retry::RetryPolicy;
use kube::client::{Body as Sent, ClientBuilder};
use kube::{Client, Config};
use serde_json::json;
use shopkeeper_testing::Scene;
use tokio::sync::{Notify, watch::Sender};
use tokio::time::timeout;
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::{BoxError, Layer, Service};

use super::plan::{NEWS, Plan, ReadFault, Way, WriteFault};
use super::record::Record;
use super::run::recreate;
use super::watch;
use crate::snapshot::same_text;

/// Every reconcile reads it; one that is blocked does again, for the certificates.
const CREDENTIALS: &str = "/secrets/acorn-credentials";
/// An operator that waits for an answer that will not come looks again within this time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The door of one run, through which one operator after the other goes.
pub struct Door {
    /// What passed.
    pub record: Record,
    scene: Arc<Scene>,
    killed: Notify,
    looks: Sender<usize>,
}

impl Door {
    pub fn new(scene: Arc<Scene>, plan: Option<Plan>) -> Arc<Self> {
        let record = Record::new(plan);
        Arc::new(Self { record, scene, killed: Notify::new(), looks: Sender::new(0) })
    }

    /// A client for one operator, which ends when the operator is killed. It waits and asks again as every client does.
    pub fn client(self: &Arc<Self>, mut config: Config) -> Client {
        config.default_retry = false;
        let passage = Passage { door: self.clone(), alive: Arc::new(AtomicBool::new(true)) };
        let builder = ClientBuilder::try_from(config).expect("a client").with_layer(&passage);
        let builder = builder.with_layer(&BufferLayer::new(64));
        builder.with_layer(&RetryLayer::new(RetryPolicy::server_retry())).build()
    }

    /// Waits until the plan kills the operator.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Lets the operator look at the Shop once more, and waits until it does: what it had to write before is written then.
    pub async fn another_look(&self) {
        let mut looks = self.looks.subscribe();
        let before = *looks.borrow_and_update();
        self.scene.touch().await;
        let looked = timeout(PATIENCE, looks.wait_for(|count| *count > before)).await;
        looked.expect("the operator looks at a Shop that was touched").map(drop).expect("the door is there");
    }

    /// From now on nothing of this operator passes.
    fn kill(&self, alive: &AtomicBool) {
        alive.store(false, Ordering::SeqCst);
        self.killed.notify_one();
    }

    /// Lets a list show what was there before.
    fn deceive(&self, list: &Uri) -> Option<Uri> {
        // All other pages are of the version that the first one shows.
        let first = !list.query()?.contains("continue=");
        let version = self.record.deception(&first.then(|| list.to_string())?)?;
        format!("{list}&resourceVersion={version}&resourceVersionMatch=Exact").parse().ok()
    }
}

/// The way of one operator through the door.
#[derive(Clone)]
struct Passage {
    door: Arc<Door>,
    alive: Arc<AtomicBool>,
}

impl<S> Layer<S> for Passage {
    type Service = Passing<S>;

    fn layer(&self, inner: S) -> Passing<S> {
        Passing { inner, passage: self.clone() }
    }
}

struct Passing<S> {
    inner: S,
    passage: Passage,
}

impl<S, B> Service<Request<Sent>> for Passing<S>
where
    S: Service<Request<Sent>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        let Passage { door, alive } = self.passage.clone();
        let (way, what) = passing(&door.scene.namespace, &request);
        let deceived = way == Way::List && alive.load(Ordering::SeqCst);
        if let Some(uri) = deceived.then(|| door.deceive(request.uri())).flatten() {
            *request.uri_mut() = uri;
        }
        // Nothing is sent before it is polled.
        let answer = self.inner.call(request);
        let answer = async move { answer.await.map(|answer| answer.map(Body::new)) };
        async move {
            if !alive.load(Ordering::SeqCst) {
                return lost("this operator was killed");
            }
            if way == Way::Write {
                return write(&door, &alive, &what, answer).await;
            }
            let answer = read(&door, way, &what, answer).await?;
            let begun = way == Way::Watch && answer.status().is_success();
            Ok(if begun { answer.map(|body| watch::pass(body, door, what)) } else { answer })
        }
        .boxed()
    }
}

/// How a request passes, and what it is called, in all namespaces the same.
fn passing(namespace: &str, request: &Request<Sent>) -> (Way, String) {
    let (method, path) = (request.method(), same_text(namespace, request.uri().path()));
    if *method != Method::GET {
        // Events' names are times.
        let event = path.contains("/events");
        return (Way::Write, if event { NEWS.to_owned() } else { format!("{method} {path}") });
    }
    match request.uri().query() {
        Some(query) if query.contains("watch=true") => (Way::Watch, format!("WATCH {path}")),
        // All of a kind is asked for with a question mark, though nothing may follow it; what has a name without.
        Some(_) => (Way::List, format!("LIST {path}")),
        None => (Way::Get, format!("{method} {path}")),
    }
}

async fn write(
    door: &Door,
    alive: &AtomicBool,
    what: &str,
    answer: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    let fault = door.record.write(what);
    match fault {
        // Whether they happen is known later.
        None | Some(WriteFault::CrashAfter | WriteFault::CrashAndStale(_) | WriteFault::ReplyLost) => {}
        Some(_) => door.record.strike(),
    }
    match fault {
        Some(WriteFault::CrashBefore) => {
            door.kill(alive);
            return lost("killed before it was sent");
        }
        Some(WriteFault::Disconnected) => return lost("the connection is lost"),
        Some(WriteFault::Unanswered) => return std::future::pending().await,
        Some(WriteFault::Refused(status)) => return Ok(refusal(status)),
        Some(WriteFault::Recreated) => recreate(&door.scene).await,
        _ => {}
    }
    let (head, body) = answer.await?.into_parts();
    let body = to_bytes(body, usize::MAX).await?;
    if head.status.is_success() {
        door.record.changed(what, &body);
    }
    match fault {
        Some(WriteFault::CrashAfter) => {
            door.record.strike();
            door.kill(alive);
        }
        Some(WriteFault::CrashAndStale(ago)) => {
            door.record.deceive_next(ago);
            door.kill(alive);
        }
        Some(WriteFault::ReplyLost) => door.record.strike(),
        _ => return Ok(Response::from_parts(head, Body::from(body))),
    }
    lost("the answer is lost")
}

async fn read(
    door: &Door,
    way: Way,
    what: &str,
    answer: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    let fault = door.record.read(way, what);
    if what.ends_with(CREDENTIALS) {
        door.looks.send_modify(|looks| *looks += 1);
    }
    let Some(fault) = fault else { return answer.await };
    let outcome = match fault {
        ReadFault::Refused(status) => Ok(refusal(status)),
        ReadFault::Disconnected => lost("the connection is lost"),
        ReadFault::Broken => {
            let (head, body) = answer.await?.into_parts();
            Ok(Response::from_parts(head, broken(&to_bytes(body, usize::MAX).await?)))
        }
    };
    door.record.strike();
    outcome
}

/// The first half of a body, and then the end of the connection.
fn broken(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    Body::from_stream(stream::iter([Ok(half), Err(reset("the answer breaks off"))]))
}

fn lost(why: &'static str) -> Result<Response<Body>, BoxError> {
    Err(reset(why).into())
}

/// The end of a connection.
pub fn reset(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, why)
}

fn refusal(status: StatusCode) -> Response<Body> {
    let reason = match status {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::GONE => "Expired",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    };
    let message = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(), "reason": reason,
        "message": "refused by the test",
    });
    let response = Response::builder().status(status).header("retry-after", "1");
    response.body(Body::from(message.to_string())).expect("a response")
}
