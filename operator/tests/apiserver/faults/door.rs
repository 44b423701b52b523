//! The door between an operator and the API server: a layer of the Kubernetes client that records what passes, and lets one
//! thing go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody, to_bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use kube::client::retry::RetryPolicy;
use kube::client::{Body as Sent, ClientBuilder};
use kube::{Client, Config};
use serde_json::{Value, json};
use shopkeeper_testing::Scene;
use tokio::sync::Notify;
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::{BoxError, Layer, Service};

use super::plan::{Plan, Trace, Write, WriteFault};
use super::run::recreate;
use super::watch::{self, Trouble};
use crate::snapshot::same_text;

/// The door of one run, through which one operator after the other goes.
pub struct Door {
    scene: Arc<Scene>,
    plan: Option<Plan>,
    killed: Notify,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    writes: Vec<Write>,
    /// What took effect.
    changes: BTreeSet<String>,
    /// The version that each write made.
    versions: Vec<String>,
    events: BTreeMap<String, Arc<AtomicUsize>>,
    /// The version that the operator of this life sees first, and what it has seen of it.
    stale: Option<(String, BTreeSet<String>)>,
}

impl Door {
    pub fn new(scene: Arc<Scene>, plan: Option<Plan>) -> Arc<Self> {
        Arc::new(Self { scene, plan, killed: Notify::new(), record: Mutex::default() })
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

    pub fn trace(&self) -> Trace {
        let record = self.record();
        let events = record.events.iter().map(|(watch, count)| (watch.clone(), count.load(Ordering::SeqCst)));
        Trace { writes: record.writes.clone(), events: events.collect() }
    }

    pub fn changes(&self) -> BTreeSet<String> {
        self.record().changes.clone()
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a write, and says what is to become of it.
    fn write(&self, request: &str) -> Option<WriteFault> {
        let mut record = self.record();
        let nth = record.writes.iter().filter(|write| write.request == request).count();
        let write = Write { request: request.to_owned(), nth };
        let fault = match &self.plan {
            Some(Plan::AtWrite(at, fault)) if *at == write => Some(*fault),
            _ => None,
        };
        record.writes.push(write);
        fault
    }

    fn changed(&self, request: &str, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let mut record = self.record();
        record.changes.insert(request.to_owned());
        record.versions.extend(answer["metadata"]["resourceVersion"].as_str().map(str::to_owned));
    }

    /// From now on nothing of this operator passes; the next one may be deceived.
    fn kill(&self, alive: &AtomicBool, writes_ago: Option<usize>) {
        alive.store(false, Ordering::SeqCst);
        let mut record = self.record();
        record.stale = writes_ago.and_then(|ago| {
            let version = record.versions.iter().rev().nth(ago).or(record.versions.first())?;
            Some((version.clone(), BTreeSet::new()))
        });
        self.killed.notify_one();
    }

    /// Lets the first look at anything show what was there before.
    fn deceive(&self, uri: &Uri) -> Option<Uri> {
        let mut record = self.record();
        let (version, seen) = record.stale.as_mut()?;
        // A list has a plural at its end; by name there is no asking for an exact version.
        let list = !uri.path().contains("/secrets/") && uri.query().is_some();
        if !list || !seen.insert(uri.to_string()) {
            return None;
        }
        format!("{uri}&resourceVersion={version}&resourceVersionMatch=Exact").parse().ok()
    }

    /// The counter of a watch, and what is to happen to one of its events.
    fn watch(&self, path: &str) -> (Arc<AtomicUsize>, Option<Trouble>) {
        let count = self.record().events.entry(path.to_owned()).or_default().clone();
        let trouble = match &self.plan {
            Some(Plan::AtEvent(watch, after, fault)) if watch == path && count.load(Ordering::SeqCst) <= *after => {
                Some(Trouble { after: *after, fault: *fault })
            }
            _ => None,
        };
        (count, trouble)
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
    B: HttpBody<Data = axum::body::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        let Passage { door, alive } = self.passage.clone();
        let namespace = &door.scene.namespace;
        let path = same_text(namespace, request.uri().path());
        let wanted = match path.split_once("/events") {
            // Their names are times.
            Some(_) => "an event".to_owned(),
            None => format!("{} {path}", request.method()),
        };
        let reads = request.method() == Method::GET;
        let watches = reads && request.uri().query().is_some_and(|query| query.contains("watch=true"));
        if reads
            && !watches
            && let Some(uri) = door.deceive(request.uri())
        {
            *request.uri_mut() = uri;
        }
        // Nothing is sent before it is polled.
        let answer = self.inner.call(request);
        let answer = async move { answer.await.map(|answer| answer.map(Body::new)) };
        async move {
            if !alive.load(Ordering::SeqCst) {
                return Err(io::Error::other("this operator was killed").into());
            }
            if watches {
                let (count, trouble) = door.watch(&path);
                return Ok(answer.await?.map(|body| watch::pass(body, count, trouble)));
            }
            if reads {
                return answer.await;
            }
            write(&door, &alive, &wanted, answer).await
        }
        .boxed()
    }
}

async fn write(
    door: &Door,
    alive: &AtomicBool,
    wanted: &str,
    answer: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    let lost = |why: &str| Err(io::Error::new(io::ErrorKind::ConnectionReset, why.to_owned()).into());
    let fault = door.write(wanted);
    match fault {
        Some(WriteFault::CrashBefore) => {
            door.kill(alive, None);
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
        door.changed(wanted, &body);
    }
    match fault {
        Some(WriteFault::CrashAfter) => door.kill(alive, None),
        Some(WriteFault::CrashAndStale(ago)) => door.kill(alive, Some(ago)),
        Some(WriteFault::ReplyLost) => {}
        _ => return Ok(Response::from_parts(head, Body::from(body))),
    }
    lost("the answer is lost")
}

fn refusal(status: StatusCode) -> Response<Body> {
    let reason = match status {
        StatusCode::CONFLICT => "Conflict",
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
