//! A layer of the Kubernetes client that notes every request that changes something.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tower::{Layer, Service};

/// The mutating requests of a client; a clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Writes(Arc<Mutex<Vec<String>>>);

impl Writes {
    /// Method and path of each, in the order in which they were sent.
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S> Layer<S> for Writes {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting { inner, writes: self.clone() }
    }
}

/// See [`Writes`].
#[derive(Clone, Debug)]
pub struct Noting<S> {
    inner: S,
    writes: Writes,
}

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (method, query) = (request.method(), request.uri().query().unwrap_or_default());
        if method != http::Method::GET && !query.contains("dryRun=") {
            let line = format!("{} {}", request.method(), request.uri().path());
            self.writes.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        self.inner.call(request)
    }
}
