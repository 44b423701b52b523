//! What a consumer has given up on: looked at without being taken, and sent back to that consumer.
//!
//! A look takes messages and gives them back by closing its channel, so two people who look at once see different parts. A
//! replay publishes to the consumer's own queue, waits for the confirm, and only then takes the dead letter away: whatever
//! breaks in between leaves a duplicate, which the consumer notices by the event's id.

use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    message::{BasicGetMessage, Delivery},
    options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    broker::{self, BrokerError, Way},
    event::{self, Death},
    topology::Names,
};

/// One message that waits for a person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The event's id; of a message that has none, a digest of its payload.
    pub id: String,
    /// What happened, for instance `order.paid`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
    /// How often handling it failed.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// How often it was replayed before.
    pub replays: u32,
    /// The trace of the order or product it tells of.
    pub trace_id: Option<String>,
    /// What it says: JSON, or text when it is not JSON.
    pub payload: Value,
}

/// Which dead letters are replayed.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those that are there when it begins.
    All,
    /// Those with this id.
    Id(&'a str),
}

/// The dead letters of one consumer.
pub struct DeadLetters {
    connection: Connection,
    names: Names,
}

impl DeadLetters {
    /// Connects with `service`'s own rights, which are enough.
    pub async fn open(url: &SecretString, way: Way, service: &str) -> Result<Self, BrokerError> {
        let connection = broker::connect(broker::address(url)?, way, &format!("{service} dead letters")).await?;
        Ok(Self { connection, names: Names::of(service) })
    }

    /// How many there are; `None` before the consumer ran for the first time.
    pub async fn count(&self) -> Result<Option<u32>, BrokerError> {
        let channel = self.connection.create_channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(self.names.dead.as_str().into(), passive, FieldTable::default()).await;
        match declared {
            Ok(queue) => Ok(Some(queue.message_count())),
            // The one such answer to a passive declaration is that there is no queue.
            Err(error) if error.is_amqp_soft_error() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at the first `limit`, oldest event first.
    pub async fn look(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let channel = self.connection.create_channel().await?;
        let mut letters = Vec::new();
        while letters.len() < limit {
            let Some(message) = self.next(&channel).await? else { break };
            let Delivery { properties, data, .. } = message.delivery;
            letters.push(DeadLetter::read(&properties, &data, &self.names.queue));
        }
        channel.close(200, "back to where they were".into()).await?;
        letters.sort_by_key(|letter| letter.occurred_at);
        Ok(letters)
    }

    /// Sends dead letters back to their consumer and says which.
    pub async fn replay(&self, which: Which<'_>) -> Result<Vec<String>, BrokerError> {
        // One that fails again at once comes back behind those that were there.
        let there = self.count().await?.unwrap_or_default();
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut replayed = Vec::new();
        for _ in 0..there {
            let Some(message) = self.next(&channel).await? else { break };
            let id = id_of(&message.properties, &message.data);
            if matches!(which, Which::Id(wanted) if wanted != id) {
                continue;
            }
            self.send_back(&channel, message.delivery).await?;
            replayed.push(id);
        }
        // Acknowledges before it gives back the rest.
        channel.close(200, "replayed".into()).await?;
        Ok(replayed)
    }

    /// Disconnects.
    pub async fn close(self) {
        broker::close(self.connection).await;
    }

    async fn next(&self, channel: &Channel) -> Result<Option<BasicGetMessage>, BrokerError> {
        Ok(channel.basic_get(self.names.dead.as_str().into(), BasicGetOptions::default()).await?)
    }

    async fn send_back(&self, channel: &Channel, letter: Delivery) -> Result<(), BrokerError> {
        let Delivery { properties, data, acker, .. } = letter;
        let key = event::kind(&properties).unwrap_or_default().to_owned();
        let (exchange, key) = (self.names.requeue.as_str().into(), key.into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = channel.basic_publish(exchange, key, options, &data, event::replayed(properties)).await?;
        let Confirmation::Ack(None) = confirm.await? else {
            return Err(BrokerError::NotTaken(self.names.queue.clone()));
        };
        acker.ack(BasicAckOptions::default()).await?;
        Ok(())
    }
}

impl DeadLetter {
    fn read(properties: &BasicProperties, payload: &[u8], queue: &str) -> Self {
        let Death { attempts, error, given_up_by_broker, replays } = Death::read(properties, queue);
        let text = || Value::String(String::from_utf8_lossy(payload).into_owned());
        Self {
            id: id_of(properties, payload),
            kind: event::kind(properties).map(str::to_owned),
            occurred_at: event::occurred_at(properties),
            attempts,
            reason: given_up_by_broker.or(error).unwrap_or_else(|| "unknown".to_owned()),
            replays,
            trace_id: event::trace_id(properties),
            payload: serde_json::from_slice(payload).unwrap_or_else(|_| text()),
        }
    }
}

fn id_of(properties: &BasicProperties, payload: &[u8]) -> String {
    event::id(properties).map_or_else(
        || {
            let digest = Sha256::digest(payload);
            digest.first_chunk().map(|start| format!("{:016x}", u64::from_be_bytes(*start))).unwrap_or_default()
        },
        |id| id.to_string(),
    )
}
