//! Measures the calls a server answers: how many, how they ended, how long they took.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::{
    accept::Caller,
    metrics::{Call, ServerMetrics, Stopwatch, code_name},
};

/// Measures each call.
#[derive(Clone)]
pub struct MeasureLayer(pub(crate) ServerMetrics);

/// See [`MeasureLayer`].
#[derive(Clone)]
pub struct Measure<S> {
    inner: S,
    metrics: ServerMetrics,
}

pin_project! {
    /// A call that is measured until it is answered, or dropped.
    pub struct Measured<F> {
        #[pin]
        answer: F,
        stopwatch: Option<Stopwatch>,
    }
}

impl<S> Layer<S> for MeasureLayer {
    type Service = Measure<S>;

    fn layer(&self, inner: S) -> Measure<S> {
        Measure { inner, metrics: self.0.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Measure<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Measured<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<Caller>().and_then(|caller| caller.0.as_deref());
        let call = Call::arrived(id.map_or("", |id| &id.service), request.uri().path());
        let stopwatch = Stopwatch::start(call, &self.metrics.calls);
        Measured { answer: self.inner.call(request), stopwatch: Some(stopwatch) }
    }
}

impl<F: Future<Output = Result<Response<R>, E>>, R, E> Future for Measured<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(context));
        if let Some(mut stopwatch) = this.stopwatch.take() {
            let code = answer.as_ref().map_or(Code::Unknown, |answer| code_of(answer.headers()).unwrap_or(Code::Ok));
            stopwatch.call.code = code_name(code);
        }
        Poll::Ready(answer)
    }
}

/// The status in the headers or trailers of an answer. Tonic's servers have it in the headers where there is no message.
pub(crate) fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}
