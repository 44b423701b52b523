//! Who may call what: the caller's certificate against the table of edges.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use shop_proto::edges;
use tonic::Status;
use tower::{Layer, Service};

use crate::{Identity, accept::Caller, metrics::ServerMetrics};

/// Refuses calls that the table of edges does not have. Without an identity everybody may call everything: then another mesh
/// decides, or nobody.
#[derive(Clone)]
pub struct AuthorizeLayer {
    service: Option<String>,
    metrics: ServerMetrics,
}

impl AuthorizeLayer {
    pub(crate) fn new(identity: Option<&Identity>, metrics: ServerMetrics) -> Self {
        Self { service: identity.map(|identity| identity.id().service), metrics }
    }
}

/// See [`AuthorizeLayer`].
#[derive(Clone)]
pub struct Authorize<S> {
    inner: S,
    layer: AuthorizeLayer,
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, layer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Authorize<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(service) = &self.layer.service else { return Either::Left(self.inner.call(request)) };
        let id = request.extensions().get::<Caller>().and_then(|caller| caller.0.clone());
        let caller = id.map_or_else(String::new, |id| id.service.clone());
        let method = request.uri().path();
        if edges::find(&caller, service, method).is_some() {
            return Either::Left(self.inner.call(request));
        }
        tracing::warn!(caller, rpc.method = method, "a call that the table of edges does not have is refused");
        self.layer.metrics.call_refused();
        let status = Status::permission_denied(format!("{caller} may not call {method}"));
        Either::Right(ready(Ok(status.into_http())))
    }
}
