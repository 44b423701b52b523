//! A connection to RabbitMQ, and the loop that makes a new one whenever it is lost.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::{ExposeSecret as _, SecretString};
use shop_config::Url;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A blocked connection cannot even say good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const HEARTBEAT_SECONDS: u16 = 10;
/// The client keeps room for 32 frames in each direction; at the protocol's usual 128 KiB that is 8 MiB a connection. An
/// event is about one KiB, and a larger one takes several frames.
const FRAME_BYTES: u32 = 16 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why work with the broker ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Settings that name no broker.
    #[error("the AMQP URL cannot be read: {0}")]
    Url(String),
    /// The file with the broker's authority is not there.
    #[error("the authority of RabbitMQ's certificate: {0}")]
    Authority(#[source] io::Error),
    /// Nobody there, or nobody who speaks AMQP.
    #[error("RabbitMQ did not answer in time")]
    Timeout,
    /// What the broker or the connection to it said.
    #[error("RabbitMQ: {0}")]
    Amqp(#[from] lapin::Error),
    /// The outbox cannot be read or marked.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The queue was deleted, or its node went away.
    #[error("the broker closed the consumer")]
    ConsumerClosed,
    /// A message that must not get lost was not taken.
    #[error("the broker did not take a message for {0}")]
    NotTaken(String),
}

/// How a broker is reached by somebody who is not where its clients are.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// An address that leads to it, where that of its URL does not.
    pub detour: Option<SocketAddr>,
    /// Who has signed its certificate for the host of its URL, PEM, where that is not a public authority.
    pub authority: Option<String>,
}

/// Runs `work` on a fresh connection again and again until `shutdown`. A broker that is away is waited for.
pub(crate) async fn keep_connected<F, Fut>(broker: &Url, name: &str, shutdown: &CancellationToken, work: F)
where
    F: Fn(Connection) -> Fut,
    Fut: Future<Output = Result<(), BrokerError>>,
{
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        let outcome = match open(broker, name).await {
            Ok(connection) => work(connection).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            // Work that fails as soon as it is connected (a missing right, a database that is away) must not hammer.
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(error.cause = %error, connection = name, "messaging was interrupted, connecting again");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Connects.
pub(crate) async fn open(broker: &Url, name: &str) -> Result<Connection, BrokerError> {
    let authority = broker.authority().map_err(BrokerError::Authority)?;
    connect(address(&broker.url)?, Way { detour: None, authority }, name).await
}

/// The address in a URL.
pub(crate) fn address(url: &SecretString) -> Result<AMQPUri, BrokerError> {
    url.expose_secret().parse().map_err(BrokerError::Url)
}

/// Connects to an address. Whatever the way is, the certificate must be for the host of the address.
pub(crate) async fn connect(mut uri: AMQPUri, way: Way, name: &str) -> Result<Connection, BrokerError> {
    uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
    uri.query.frame_max = Some(FRAME_BYTES);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let Way { detour, authority } = way;
    let tls = OwnedTLSConfig { identity: None, cert_chain: authority };
    let runtime = default_runtime()?;
    let connecting = async {
        let Some(detour) = detour else {
            return Connection::connect_uri_with_config(uri, properties, tls, runtime).await;
        };
        Connection::connector(
            uri,
            runtime,
            async move |uri: AMQPUri, runtime| -> lapin::Result<_> {
                let stream = AsyncTcpStream::connect(&runtime, detour).await?;
                Ok(match uri.scheme {
                    AMQPScheme::AMQP => stream,
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await?,
                })
            },
            properties,
        )
        .await
    };
    Ok(timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| BrokerError::Timeout)??)
}

/// Says good-bye, so that what was sent before has arrived.
pub(crate) async fn close(connection: Connection) {
    // Gone already is as good, and a blocked connection is left to the broker.
    let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "bye".into())).await;
}
