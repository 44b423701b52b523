//! An API server that never answers a write: a layer of the Kubernetes client that tells what becomes of each.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use http::{Method, Request};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::{Layer, Service};

/// What becomes of writes.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// One was asked for.
    Write,
    /// Nobody waits for its answer any more.
    GivenUp,
}

/// See above.
#[derive(Clone)]
pub struct Silence(UnboundedSender<Heard>);

impl Silence {
    pub fn new() -> (Self, UnboundedReceiver<Heard>) {
        let (sender, heard) = unbounded_channel();
        (Self(sender), heard)
    }
}

impl<S> Layer<S> for Silence {
    type Service = Silent<S>;

    fn layer(&self, inner: S) -> Silent<S> {
        Silent { inner, silence: self.clone() }
    }
}

/// See [`Silence`].
pub struct Silent<S> {
    inner: S,
    silence: Silence,
}

impl<S, B> Service<Request<B>> for Silent<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() == Method::GET {
            return self.inner.call(request).boxed();
        }
        let waiting = Waiting::begin(self.silence.0.clone());
        async move {
            let _waiting = waiting;
            pending().await
        }
        .boxed()
    }
}

/// Somebody who waits for an answer.
struct Waiting(UnboundedSender<Heard>);

impl Waiting {
    fn begin(heard: UnboundedSender<Heard>) -> Self {
        // A test that has ended does not listen.
        let _ = heard.send(Heard::Write);
        Self(heard)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.send(Heard::GivenUp);
    }
}
