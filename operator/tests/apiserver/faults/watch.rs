//! The events of a watch on their way to the operator.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::door::{Door, reset};
use super::plan::EventFault;

/// An event waits this long for one that overtakes it.
const HOLD: Duration = Duration::from_secs(1);

/// Notes the events that pass, and lets one of them go wrong.
pub fn pass(body: Body, door: Arc<Door>, watch: String) -> Body {
    let lines = Lines { bytes: body.into_data_stream(), rest: Vec::new() };
    let events = Events { lines, door, watch, next: None, over: false };
    Body::from_stream(stream::unfold(events, async |mut events| {
        let event = events.next().await?;
        Some((event, events))
    }))
}

struct Events {
    lines: Lines,
    door: Arc<Door>,
    watch: String,
    /// An event that was overtaken, or what ends the watch.
    next: Option<Result<Bytes, axum::Error>>,
    over: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        if self.over {
            return None;
        }
        let event = match self.lines.next().await? {
            Ok(event) => event,
            error => return Some(error),
        };
        let Some(fault) = self.door.record.event(&self.watch) else { return Some(Ok(event)) };
        match fault {
            EventFault::Overwritten | EventFault::Late => return self.hold(event, fault).await,
            // Whether a list follows is known later.
            EventFault::GoneAndStale(ago) => self.door.record.deceive_next(ago),
            _ => self.door.record.strike(),
        }
        self.over = fault != EventFault::Dropped;
        if fault == EventFault::Broken {
            self.next = Some(Err(axum::Error::new(reset("the watch breaks off"))));
        }
        Some(Ok(match fault {
            EventFault::Gone | EventFault::GoneAndStale(_) => gone(),
            EventFault::Dropped => Bytes::new(),
            _ => event.slice(..event.len() / 2),
        }))
    }

    async fn hold(&mut self, event: Bytes, fault: EventFault) -> Option<Result<Bytes, axum::Error>> {
        let Ok(following) = timeout(HOLD, self.lines.next()).await else {
            if fault == EventFault::Late {
                self.door.record.strike();
            }
            return Some(Ok(event));
        };
        let Some(Ok(following)) = following else {
            self.over = true;
            return Some(Ok(event));
        };
        let overwritten = object(&event) == object(&following);
        let (first, second) = match (fault, overwritten) {
            (EventFault::Overwritten, true) => (following, None),
            (EventFault::Late, false) => (following, Some(event)),
            // The events of one object never overtake each other.
            _ => {
                self.door.record.event(&self.watch);
                self.next = Some(Ok(following));
                return Some(Ok(event));
            }
        };
        self.door.record.strike();
        self.door.record.event(&self.watch);
        self.next = second.map(Ok);
        Some(Ok(first))
    }
}

/// What the API server says of a version that it has forgotten.
fn gone() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version",
    });
    format!("{}\n", json!({"type": "ERROR", "object": status})).into()
}

fn object(event: &[u8]) -> Value {
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    event["object"]["metadata"]["uid"].clone()
}

/// The lines of a body.
struct Lines {
    bytes: BodyDataStream,
    rest: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Some(Ok(std::mem::replace(&mut self.rest, rest).into()));
            }
            match self.bytes.next().await? {
                Ok(bytes) => self.rest.extend_from_slice(&bytes),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
