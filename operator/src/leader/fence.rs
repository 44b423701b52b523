//! A layer of the Kubernetes client that lets writes through only while the Lease is held.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// Open while the Lease is held; a clone is the same fence. The clock stops for nobody: a process that was frozen wakes up
/// behind a shut fence.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<Option<Instant>>>);

/// A write that came too late, or was still under way when the fence was shut.
#[derive(Clone, Debug, thiserror::Error)]
#[error("this operator does not hold the Lease: {0} {1} was given up")]
struct Shut(Method, String);

impl Fence {
    /// Lets writes through until `time`.
    pub(super) fn open_until(&self, time: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
    }

    /// Lets no write through any more.
    pub(super) fn shut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether this process holds the Lease.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { inner, fence: self.clone() }
    }
}

/// See [`Fence`].
#[derive(Clone, Debug)]
pub struct Fenced<S> {
    inner: S,
    fence: Fence,
}

impl<S, B> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>, Error: Into<BoxError>, Future: Send + 'static>,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() == Method::GET {
            let answer = self.inner.call(request);
            return async move { answer.await.map_err(Into::into) }.boxed();
        }
        let shut = Shut(request.method().clone(), request.uri().path().to_owned());
        if !self.fence.is_open() {
            return async move { Err(shut.into()) }.boxed();
        }
        let mut answer = Box::pin(self.inner.call(request));
        let fence = self.fence.clone();
        // Connecting takes time, and so does waiting for another try: what has not left by then must not leave.
        poll_fn(move |context| {
            if fence.is_open() {
                answer.poll_unpin(context).map_err(Into::<BoxError>::into)
            } else {
                Poll::Ready(Err(shut.clone().into()))
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures::poll;
    use tokio::pin;
    use tokio::sync::Notify;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn send(fence: &Fence, method: Method) -> Result<&'static str, BoxError> {
        let api = service_fn(|_: Request<()>| async { Ok::<_, BoxError>("answered") });
        let request = Request::builder().method(method).uri("/api/v1/pods").body(()).expect("a request");
        fence.layer(api).oneshot(request).await
    }

    #[tokio::test]
    async fn without_the_lease_nothing_is_written_and_everything_can_be_read() {
        let fence = Fence::default();
        assert!(send(&fence, Method::PATCH).await.unwrap_err().to_string().contains("PATCH /api/v1/pods was given up"));
        assert!(send(&fence, Method::GET).await.is_ok());
        fence.open_until(Instant::now() + Duration::from_mins(1));
        assert!(send(&fence, Method::DELETE).await.is_ok());
        fence.shut();
        assert!(send(&fence, Method::DELETE).await.is_err());
    }

    #[tokio::test]
    async fn a_holder_that_has_not_renewed_in_time_finds_a_shut_fence() {
        let fence = Fence::default();
        fence.open_until(Instant::now());
        assert!(send(&fence, Method::PATCH).await.is_err());
    }

    #[tokio::test]
    async fn a_write_that_has_not_left_yet_when_the_lease_is_given_up_does_not_leave() {
        let (fence, connected, left) = (Fence::default(), Arc::<Notify>::default(), Arc::<AtomicBool>::default());
        fence.open_until(Instant::now() + Duration::from_mins(1));
        let (connection, sent) = (connected.clone(), left.clone());
        let api = service_fn(move |_: Request<()>| {
            let (connection, sent) = (connection.clone(), sent.clone());
            async move {
                connection.notified().await;
                sent.store(true, Ordering::SeqCst);
                Ok::<_, BoxError>("answered")
            }
        });
        let request = Request::builder().method(Method::PATCH).uri("/api/v1/pods").body(()).expect("a request");
        let write = fence.layer(api).oneshot(request);
        pin!(write);
        assert!(poll!(&mut write).is_pending());
        fence.shut();
        connected.notify_one();
        assert!(write.await.is_err());
        assert!(!left.load(Ordering::SeqCst));
    }
}
