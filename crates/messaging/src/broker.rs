//! A connection to RabbitMQ, and the loop that makes a new one whenever it is lost.

use std::{future::Future, time::Duration};

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HEARTBEAT_SECONDS: u16 = 10;
/// The client keeps room for 32 frames in each direction; at the protocol's usual 128 KiB that is 8 MiB a connection. An
/// event is about one KiB, and a larger one takes several frames.
const FRAME_BYTES: u32 = 16 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why work with the broker ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error("the AMQP URL cannot be read: {0}")]
    Url(String),
    #[error("RabbitMQ did not answer within {CONNECT_TIMEOUT:?}")]
    Timeout,
    #[error("RabbitMQ: {0}")]
    Amqp(#[from] lapin::Error),
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the broker closed the consumer")]
    ConsumerClosed,
}

/// Runs `work` on a fresh connection again and again until `shutdown`. A broker that is away is waited for.
pub(crate) async fn keep_connected<F, Fut>(url: &SecretString, name: &str, shutdown: &CancellationToken, work: F)
where
    F: Fn(Connection) -> Fut,
    Fut: Future<Output = Result<(), BrokerError>>,
{
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_cancelled() {
        let outcome = match open(url, name).await {
            Ok(connection) => {
                pause = FIRST_PAUSE;
                work(connection).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(error.cause = %error, connection = name, "lost RabbitMQ, connecting again");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn open(url: &SecretString, name: &str) -> Result<Connection, BrokerError> {
    let mut uri: AMQPUri = url.expose_secret().parse().map_err(BrokerError::Url)?;
    uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
    uri.query.frame_max = Some(FRAME_BYTES);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(uri, properties);
    Ok(timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| BrokerError::Timeout)??)
}
