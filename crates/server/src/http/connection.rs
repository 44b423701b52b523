//! HTTP/1.1 connections: how many, and how patient we are with each. `axum::serve` has no limit of either kind.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::normalize_path::NormalizePath;

use super::leftover;
use crate::{Host, Limits};

/// All headers of a request, its first line included. A connection needs no more memory than this before it is answered.
const MAX_HEAD: usize = 16 * 1024;
/// When the process has no file descriptor left, asking again at once would only burn the CPU.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Serves `service` on `listener` until the host stops. A connection over the limit is closed at once, and counted.
pub(crate) fn serve(host: &Host, listener: TcpListener, service: NormalizePath<Router>, refused: Counter) {
    let slots = Arc::new(Semaphore::new(host.limits.connections));
    let accepting = host.clone();
    host.spawn(async move {
        let host = accepting;
        loop {
            let accepted = tokio::select! {
                () = host.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&slots).try_acquire_owned()) {
                (Ok((stream, peer)), Ok(slot)) => {
                    host.spawn(connection(host.shutdown.clone(), host.limits, stream, peer, service.clone(), slot));
                }
                (Ok(_), Err(_)) => {
                    refused.inc();
                }
                (Err(error), _) => {
                    tracing::warn!(error.cause = %error, "a connection could not be accepted");
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    });
}

async fn connection(
    shutdown: CancellationToken,
    limits: Limits,
    stream: TcpStream,
    peer: SocketAddr,
    service: NormalizePath<Router>,
    _slot: OwnedSemaphorePermit,
) {
    // Without it an answer may wait for the client's acknowledgement of the one before; where it fails, that is all.
    let _ = stream.set_nodelay(true);
    let phase = Phase::default();
    let io = TokioIo::new(Patient {
        stream,
        headers: limits.headers,
        phase: phase.clone(),
        seen: 0,
        begun: None,
        timer: None,
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut request, leftover) = leftover::lend(request);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = service.clone().oneshot(request);
        let phase = phase.clone();
        phase.next();
        async move {
            let mut answer = answer.await;
            let reusable = leftover.read(limits.leftover).await;
            if let (Ok(answer), false) = (&mut answer, reusable) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            phase.next();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper counts from the moment it waits for a request, not from the request's first byte: this is the time to rest.
        .header_read_timeout(limits.idle)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error.cause = %error, "a connection broke");
    }
}

/// Even while a connection waits for a request, odd while one is answered.
#[derive(Clone, Default)]
struct Phase(Arc<AtomicU64>);

impl Phase {
    fn next(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A stream that breaks when a request has begun and its headers do not come to an end.
struct Patient {
    stream: TcpStream,
    headers: Duration,
    phase: Phase,
    /// The phase that the next two belong to.
    seen: u64,
    begun: Option<Instant>,
    /// Most requests come in one piece and never need it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, headers, phase, seen, begun, timer } = &mut *self;
        let phase = phase.0.load(Ordering::Acquire);
        if *seen != phase {
            (*seen, *begun, *timer) = (phase, None, None);
        }
        let read = Pin::new(stream).poll_read(context, buffer);
        if !phase.is_multiple_of(2) {
            return read;
        }
        if read.is_ready() {
            begun.get_or_insert_with(Instant::now);
            return read;
        }
        let Some(begun) = *begun else { return read };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(begun + *headers)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
