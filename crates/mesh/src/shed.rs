//! Refuses calls over the limit, before anything of them is read.

use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::{Load, Priority, to_status};

/// Lets a call in when there is a place for it.
#[derive(Clone, Debug)]
pub struct ShedLayer {
    load: Load,
    checkout: &'static [&'static str],
}

impl ShedLayer {
    /// `checkout` are the paths of the methods that are refused last.
    #[must_use]
    pub fn new(load: Load, checkout: &'static [&'static str]) -> Self {
        Self { load, checkout }
    }
}

/// See [`ShedLayer`].
#[derive(Clone, Debug)]
pub struct Shed<S> {
    inner: S,
    layer: ShedLayer,
}

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Shed<S> {
        Shed { inner, layer: self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Shed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let priority = if self.layer.checkout.contains(&path) { Priority::Checkout } else { Priority::Other };
        match self.layer.load.enter(priority) {
            Ok(permit) => {
                let call = self.inner.call(request);
                async move {
                    let _permit = permit;
                    call.await
                }
                .boxed()
            }
            Err(fault) => std::future::ready(Ok(to_status(fault).into_http())).boxed(),
        }
    }
}
