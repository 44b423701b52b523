//! What a handler leaves of a request's body. Whoever answers and closes while the client still sends resets its connection,
//! and a proxy in between makes its own "bad gateway" of that; so the rest is read before the answer goes out, within bounds.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::{
    Request,
    body::{Body as _, Frame, Incoming, SizeHint},
    header::EXPECT,
};
use tokio::{sync::oneshot, time::timeout};

/// Four times the largest body of any route. Who sends more learns of it by a broken connection.
const MOST: u64 = 32 * 1024 * 1024;

/// A body that comes back to [`Leftover`] when it is dropped before its end.
struct Lent {
    body: Option<Incoming>,
    /// Whether the client sends it without being asked for it.
    coming: bool,
    back: Option<oneshot::Sender<Incoming>>,
}

/// The other end of the body of one request; nothing where there is no body.
pub(super) struct Leftover(Option<oneshot::Receiver<Incoming>>);

/// Lends the body to a handler.
pub(super) fn lend(request: Request<Incoming>) -> (Request<Body>, Leftover) {
    if request.body().is_end_stream() {
        return (request.map(Body::new), Leftover(None));
    }
    let (back, leftover) = oneshot::channel();
    let coming = !request.headers().contains_key(EXPECT);
    let lent = request.map(|body| Body::new(Lent { body: Some(body), coming, back: Some(back) }));
    (lent, Leftover(Some(leftover)))
}

impl Leftover {
    /// Reads what came back, and says whether the connection can be used again.
    pub(super) async fn read(self, patience: Duration) -> bool {
        let Some(mut body) = self.0.and_then(|mut back| back.try_recv().ok()) else { return true };
        body.size_hint().lower() <= MOST && timeout(patience, to_end(&mut body)).await.unwrap_or(false)
    }
}

async fn to_end(body: &mut Incoming) -> bool {
    let mut left = MOST;
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let length = match frame {
            None => return true,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return false,
        };
        let Some(less) = left.checked_sub(length as u64) else { return false };
        left = less;
    }
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.coming = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A client that waits for "100 Continue" has sent nothing, and reading would ask it to.
        if let (Some(body), true, Some(back)) = (self.body.take(), self.coming, self.back.take()) {
            // Nobody listens when the connection is gone.
            let _ = back.send(body);
        }
    }
}
