//! Connections from neighbours: verified and named when the mesh has identities, plain when it has not.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::server::Connected;

use crate::{Identity, identity::ServiceId, metrics::ServerMetrics};

/// Who does not finish the handshake in this time is not one of ours.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Verified connections that wait for the server to take them.
const WAITING: usize = 64;

/// A connection that may send requests.
pub enum Connection {
    /// Without identities.
    Plain(TcpStream),
    /// With the id in the certificate of the other side.
    Verified(Box<TlsStream<TcpStream>>, Arc<ServiceId>),
}

/// Who is calling, for the requests of a connection; nobody in particular without identities.
#[derive(Clone, Debug)]
pub struct Caller(pub(crate) Option<Arc<ServiceId>>);

/// The connections of a listener. Those that are refused never appear in it.
#[must_use]
pub fn accept(
    listener: TcpListener,
    identity: Option<Identity>,
    metrics: ServerMetrics,
) -> Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>> {
    let Some(identity) = identity else {
        return Box::pin(TcpListenerStream::new(listener).map(|stream| {
            let stream = stream?;
            stream.set_nodelay(true)?;
            Ok(Connection::Plain(stream))
        }));
    };
    let (verified, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = verified.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (identity, metrics, verified) = (identity.clone(), metrics.clone(), verified.clone());
                    tokio::spawn(async move {
                        if let Some(connection) = verify(stream, &identity, &metrics).await {
                            // Nobody listens any more only when the server has ended.
                            let _ = verified.send(Ok(connection)).await;
                        }
                    });
                }
                Err(error) => {
                    if verified.send(Err(error)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Box::pin(ReceiverStream::new(connections))
}

async fn verify(stream: TcpStream, identity: &Identity, metrics: &ServerMetrics) -> Option<Connection> {
    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let refuse = |cause: String| {
        tracing::warn!(client.address = peer, error.cause = cause, "a connection without a valid identity is refused");
        metrics.connection_refused();
        None
    };
    let _ = stream.set_nodelay(true);
    let current = identity.current();
    let stream = match timeout(HANDSHAKE, TlsAcceptor::from(Arc::clone(&current.server)).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(error.to_string()),
        Err(late) => return refuse(late.to_string()),
    };
    let id = stream.get_ref().1.peer_certificates().and_then(|chain| ServiceId::of(chain.first()?));
    match id {
        // The authority is the Shop's own; a certificate of another Shop that it signed by mistake is still refused.
        Some(id) if id.shop == current.id.shop => Some(Connection::Verified(Box::new(stream), Arc::new(id))),
        Some(id) => refuse(format!("it belongs to {}", id.shop)),
        None => refuse("its certificate has no SPIFFE id of a service".to_owned()),
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        match self {
            Self::Plain(_) => Caller(None),
            Self::Verified(_, id) => Caller(Some(Arc::clone(id))),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Verified(stream, _) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Verified(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Verified(stream, _) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Verified(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
