//! An event on the wire: CloudEvents 1.0 attributes as AMQP headers (binary content mode), W3C trace context beside them,
//! and the payload as JSON.

use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use shop_core::Fault;
use shop_proto::events::Event;
use shop_telemetry::Carrier;
use uuid::Uuid;

const ID: &str = "cloudEvents:id";
const TYPE: &str = "cloudEvents:type";
const SOURCE: &str = "cloudEvents:source";
const TIME: &str = "cloudEvents:time";
const SPEC_VERSION: &str = "cloudEvents:specversion";
const ATTEMPT: &str = "x-shop-attempt";
const PERSISTENT: u8 = 2;

/// An event as its consumer sees it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The same for every copy of this event.
    pub id: Uuid,
    /// What happened: the routing key, for instance `order.paid`.
    pub kind: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// How often handling it has failed before.
    pub attempt: u32,
    /// The trace it belongs to.
    pub trace: Carrier,
    payload: Vec<u8>,
}

impl Incoming {
    /// Whether this is an `E`.
    #[must_use]
    pub fn is<E: Event>(&self) -> bool {
        self.kind == E::ROUTE.key
    }

    /// The payload as an `E`. A payload that cannot be read never will be: it goes to the dead letters.
    pub fn payload<E: Event>(&self) -> Result<E, Fault> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Fault::invalid(format!("the payload of {} cannot be read", self.kind)).caused_by(error))
    }

    /// Reads what the broker delivered.
    pub(crate) fn read(properties: &BasicProperties, payload: Vec<u8>) -> Result<Self, Fault> {
        let headers = properties.headers().clone().unwrap_or_default();
        let missing = |name: &str| Fault::invalid(format!("the message has no usable header {name}"));
        let id = text(&headers, ID).and_then(|id| Uuid::parse_str(id).ok()).ok_or_else(|| missing(ID))?;
        let kind = text(&headers, TYPE).ok_or_else(|| missing(TYPE))?.to_owned();
        let occurred_at = text(&headers, TIME).and_then(|time| time.parse().ok()).ok_or_else(|| missing(TIME))?;
        let attempt = match headers.inner().get(ATTEMPT) {
            Some(AMQPValue::LongUInt(attempt)) => *attempt,
            _ => 0,
        };
        Ok(Self { id, kind, occurred_at, attempt, trace: Carrier::read(|name| text(&headers, name)), payload })
    }
}

/// The AMQP properties of a new event.
pub(crate) fn properties(id: Uuid, kind: &str, source: &str, time: Timestamp, trace: &Carrier) -> BasicProperties {
    let mut headers = FieldTable::default();
    let time = time.to_string();
    let id = id.to_string();
    let attributes = [(SPEC_VERSION, "1.0"), (ID, &id), (TYPE, kind), (SOURCE, source), (TIME, &time)];
    for (name, value) in attributes {
        set(&mut headers, name, value);
    }
    for (name, value) in [("traceparent", &trace.traceparent), ("tracestate", &trace.tracestate)] {
        if let Some(value) = value {
            set(&mut headers, name, value);
        }
    }
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(id.into())
        .with_headers(headers)
}

/// The properties of the same message, tried once more.
pub(crate) fn with_attempt(properties: BasicProperties, attempt: u32) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(ATTEMPT.into(), AMQPValue::LongUInt(attempt));
    properties.with_headers(headers).with_delivery_mode(PERSISTENT)
}

fn set(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(ShortString::from(name), AMQPValue::LongString(LongString::from(value)));
}

fn text<'a>(headers: &'a FieldTable, name: &str) -> Option<&'a str> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(value) => str::from_utf8(value.as_bytes()).ok(),
        AMQPValue::ShortString(value) => Some(value.as_str()),
        _ => None,
    }
}
