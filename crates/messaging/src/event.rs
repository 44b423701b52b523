//! An event on the wire: CloudEvents 1.0 attributes as AMQP headers (binary content mode), W3C trace context beside them,
//! and the payload as JSON.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use shop_core::Fault;
use shop_proto::events::{Event, SCHEMA};
use shop_telemetry::Carrier;
use uuid::Uuid;

const ID: &str = "cloudEvents:id";
const TYPE: &str = "cloudEvents:type";
const SOURCE: &str = "cloudEvents:source";
const TIME: &str = "cloudEvents:time";
const SPEC_VERSION: &str = "cloudEvents:specversion";
const DATA_SCHEMA: &str = "cloudEvents:dataschema";
const ATTEMPT: &str = "x-shop-attempt";
const ERROR: &str = "x-shop-error";
const REPLAYS: &str = "x-shop-replays";
const PERSISTENT: u8 = 2;
/// All headers of a message share one frame.
const LONGEST_ERROR: usize = 1000;

/// An event of this age is not acted on where doing it twice would do harm: see [`Incoming::check_remembered`].
const MEMORY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a service keeps the rows by which it knows what it has done for an event: a day longer, so that the clocks of two
/// databases may differ.
pub const FORGET_AFTER: Duration = Duration::from_hours(31 * 24);

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
    /// What the payload is written in; the first release did not say.
    schema: Option<String>,
    payload: Bytes,
}

impl Incoming {
    /// Whether this is an `E`.
    #[must_use]
    pub fn is<E: Event>(&self) -> bool {
        self.kind == E::ROUTE.key
    }

    /// An event that is older than the memory of its reader cannot be told from one that was handled and forgotten. Only a
    /// person who replays a dead letter sends one, and a person then has to look. Both times are of databases.
    pub fn check_remembered(&self, now: Timestamp) -> Result<(), Fault> {
        if self.occurred_at > now - MEMORY {
            return Ok(());
        }
        let text = format!("{} is so old that it may have been acted on and forgotten", self.kind);
        Err(Fault::invalid(text).caused_by(format!("event {} of {}", self.id, self.occurred_at)))
    }

    /// The payload as an `E`. A payload that cannot be read never will be: it goes to the dead letters. So does one of
    /// another major version, whose fields may mean something else.
    pub fn payload<E: Event>(&self) -> Result<E, Fault> {
        if let Some(schema) = self.schema.as_deref().filter(|schema| *schema != SCHEMA) {
            let text = format!("the payload of {} is of a version that this one does not read", self.kind);
            return Err(Fault::invalid(text).caused_by(format!("{schema}, not {SCHEMA}")));
        }
        serde_json::from_slice(&self.payload)
            .map_err(|error| Fault::invalid(format!("the payload of {} cannot be read", self.kind)).caused_by(error))
    }

    /// Reads what the broker delivered.
    pub fn read(properties: &BasicProperties, payload: impl Into<Bytes>) -> Result<Self, Fault> {
        let none = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&none);
        let missing = |name: &str| Fault::invalid(format!("the message has no usable header {name}"));
        let id = id(properties).ok_or_else(|| missing(ID))?;
        let kind = kind(properties).ok_or_else(|| missing(TYPE))?.to_owned();
        let occurred_at = occurred_at(properties).ok_or_else(|| missing(TIME))?;
        let attempt = number(headers, ATTEMPT);
        Ok(Self {
            id,
            kind,
            occurred_at,
            attempt,
            trace: Carrier::read(|name| text(headers, name)),
            schema: text(headers, DATA_SCHEMA).map(str::to_owned),
            payload: payload.into(),
        })
    }
}

/// The id of an event.
pub(crate) fn id(properties: &BasicProperties) -> Option<Uuid> {
    text(properties.headers().as_ref()?, ID).and_then(|id| Uuid::parse_str(id).ok())
}

/// What happened.
pub(crate) fn kind(properties: &BasicProperties) -> Option<&str> {
    text(properties.headers().as_ref()?, TYPE)
}

/// When it happened.
pub(crate) fn occurred_at(properties: &BasicProperties) -> Option<Timestamp> {
    text(properties.headers().as_ref()?, TIME)?.parse().ok()
}

/// The second field of its `traceparent`.
pub(crate) fn trace_id(properties: &BasicProperties) -> Option<String> {
    text(properties.headers().as_ref()?, "traceparent")?.split('-').nth(1).map(str::to_owned)
}

/// How a message ended among the dead letters.
pub(crate) struct Death {
    /// Failures that the consumer lived to tell.
    pub attempts: u32,
    /// The last of them.
    pub error: Option<String>,
    /// Set when the consumer never answered: the broker counted deliveries.
    pub given_up_by_broker: Option<String>,
    /// Earlier replays.
    pub replays: u32,
}

impl Death {
    /// Reads our own headers and the broker's `x-death`, which has an entry for the consumer's `queue` only when the broker
    /// took the message out of it.
    pub(crate) fn read(properties: &BasicProperties, queue: &str) -> Self {
        let headers = properties.headers().clone().unwrap_or_default();
        let deaths = match headers.inner().get("x-death") {
            Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice(),
            _ => &[],
        };
        let reasons = deaths.iter().filter_map(|death| match death {
            AMQPValue::FieldTable(death) if text(death, "queue") == Some(queue) => text(death, "reason"),
            _ => None,
        });
        Self {
            attempts: number(&headers, ATTEMPT),
            error: text(&headers, ERROR).map(str::to_owned),
            given_up_by_broker: reasons.map(|reason| format!("given up by the broker: {reason}")).next(),
            replays: number(&headers, REPLAYS),
        }
    }
}

/// The AMQP properties of a new event.
pub(crate) fn properties(id: Uuid, kind: &str, source: &str, time: Timestamp, trace: &Carrier) -> BasicProperties {
    let mut headers = FieldTable::default();
    let time = time.to_string();
    let id = id.to_string();
    let attributes =
        [(SPEC_VERSION, "1.0"), (ID, &id), (TYPE, kind), (SOURCE, source), (TIME, &time), (DATA_SCHEMA, SCHEMA)];
    for (name, value) in attributes {
        set(&mut headers, name, value);
    }
    for (name, value) in trace.headers() {
        set(&mut headers, name, value);
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

/// The properties of the same message, with what a person who finds it among the dead letters wants to know.
pub(crate) fn with_error(properties: BasicProperties, fault: &Fault) -> BasicProperties {
    let mut error = fault.to_string();
    if let Some(cause) = fault.cause() {
        error = error + ": " + &cause;
    }
    error.truncate(error.floor_char_boundary(LONGEST_ERROR));
    let mut headers = properties.headers().clone().unwrap_or_default();
    set(&mut headers, ERROR, &error);
    properties.with_headers(headers)
}

/// The properties of a dead letter that gets all its attempts again. What is left of its death would be taken for news.
pub(crate) fn replayed(properties: BasicProperties) -> BasicProperties {
    let dead = properties.headers().clone().unwrap_or_default();
    let mut headers = FieldTable::default();
    for (name, value) in &dead {
        let of_its_death =
            ["x-death", "x-first-death-", "x-last-death-"].iter().any(|death| name.as_str().starts_with(death));
        if !of_its_death && ![ATTEMPT, ERROR].contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(REPLAYS.into(), AMQPValue::LongUInt(number(&dead, REPLAYS) + 1));
    properties.with_headers(headers).with_delivery_mode(PERSISTENT)
}

fn set(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(ShortString::from(name), AMQPValue::LongString(LongString::from(value)));
}

fn number(headers: &FieldTable, name: &str) -> u32 {
    match headers.inner().get(name) {
        Some(AMQPValue::LongUInt(number)) => *number,
        _ => 0,
    }
}

fn text<'a>(headers: &'a FieldTable, name: &str) -> Option<&'a str> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(value) => str::from_utf8(value.as_bytes()).ok(),
        AMQPValue::ShortString(value) => Some(value.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shop_proto::events::OrderCreated;

    use super::*;

    fn value() -> impl Strategy<Value = AMQPValue> {
        prop_oneof![
            "\\PC{0,60}".prop_map(|text| AMQPValue::LongString(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| AMQPValue::LongString(bytes.into())),
            "\\PC{0,40}".prop_map(|text| AMQPValue::ShortString(text.into())),
            any::<u32>().prop_map(AMQPValue::LongUInt),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            Just(AMQPValue::Void),
        ]
    }

    fn headers() -> impl Strategy<Value = FieldTable> {
        let names = prop::sample::select(vec![ID, TYPE, SOURCE, TIME, ATTEMPT, "traceparent", "tracestate", "x-other"]);
        prop::collection::btree_map(names.prop_map(ShortString::from), value(), 0..8).prop_map(FieldTable::from)
    }

    proptest! {
        #[test]
        fn a_message_from_anybody_is_an_event_or_a_fault_that_sends_it_to_the_dead_letters(headers in headers(), payload: Vec<u8>) {
            match Incoming::read(&BasicProperties::default().with_headers(headers), payload) {
                Ok(event) => drop(event.payload::<OrderCreated>()),
                Err(fault) => prop_assert_eq!(fault.kind(), shop_core::Kind::Invalid),
            }
        }

        #[test]
        fn what_we_publish_reads_back(
            id: u128,
            kind in "[a-z_.]{1,40}",
            seconds in 0_i64..10_000_000_000,
            traceparent in prop::option::of("[0-9a-f-]{55}"),
            attempt: u32,
        ) {
            let (id, time) = (Uuid::from_u128(id), Timestamp::from_second(seconds).unwrap());
            let trace = Carrier { traceparent, ..Carrier::default() };
            let sent = with_attempt(properties(id, &kind, "order", time, &trace), attempt);
            let event = Incoming::read(&sent, b"{}".to_vec()).unwrap();
            prop_assert_eq!((event.id, event.kind, event.occurred_at), (id, kind, time));
            prop_assert_eq!((event.trace, event.attempt), (trace, attempt));
        }
    }
}
