//! What goes wrong, and where.

use std::collections::BTreeMap;
use std::fmt;

use http::StatusCode;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// What an operator did and heard.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Its writes in their order.
    pub writes: Vec<Write>,
    /// The events of each watch.
    pub events: BTreeMap<String, usize>,
}

/// One write of an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// Method and path.
    pub request: String,
    /// How often the same was sent before.
    pub nth: usize,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Plan {
    /// At a write.
    AtWrite(Write, WriteFault),
    /// At an event of a watch, after so many others.
    AtEvent(String, usize, EventFault),
}

/// What happens to a write, or to who sends it.
#[derive(Clone, Copy, Debug)]
pub enum WriteFault {
    /// The operator is killed before it is sent.
    CrashBefore,
    /// The operator is killed after it took effect, before the answer.
    CrashAfter,
    /// The same, and the next operator first sees the cluster as it was so many writes before.
    CrashAndStale(usize),
    /// It takes effect, and the answer is lost.
    ReplyLost,
    /// It does not take effect, and the connection ends.
    Disconnected,
    /// It does not take effect, and nobody ever says so.
    Unanswered,
    /// The API server refuses it.
    Refused(StatusCode),
    /// Just before, somebody deletes the Shop and makes it again.
    Recreated,
}

/// What happens to an event.
#[derive(Clone, Copy, Debug)]
pub enum EventFault {
    /// It is lost with the watch, which has to begin anew.
    Gone,
    /// It never arrives, because a later one of the same object takes its place.
    Overwritten,
    /// It arrives after one of another object, or a second late.
    Late,
}

impl Plan {
    /// Every write, with the operator killed before it, killed after it, and deceived about it.
    pub fn kill_points(trace: &Trace) -> Vec<Self> {
        let faults = [WriteFault::CrashBefore, WriteFault::CrashAfter, WriteFault::ReplyLost];
        let points = trace.writes.iter().flat_map(|write| faults.map(|fault| Self::AtWrite(write.clone(), fault)));
        points.collect()
    }

    /// Anything else, anywhere.
    pub fn drawn(trace: &Trace, random: &mut impl Rng, at_event: bool) -> Self {
        if at_event {
            let watches: Vec<(&String, &usize)> = trace.events.iter().filter(|(_, events)| **events > 0).collect();
            let (watch, events) = watches.choose(random).expect("a watch with events");
            let faults = [EventFault::Gone, EventFault::Overwritten, EventFault::Late];
            let fault = faults.choose(random).expect("a fault");
            return Self::AtEvent((*watch).clone(), random.random_range(0..**events), *fault);
        }
        let faults = [
            WriteFault::CrashAndStale(random.random_range(1..20)),
            WriteFault::Disconnected,
            WriteFault::Unanswered,
            WriteFault::Refused(StatusCode::CONFLICT),
            WriteFault::Refused(StatusCode::TOO_MANY_REQUESTS),
            WriteFault::Refused(StatusCode::INTERNAL_SERVER_ERROR),
            WriteFault::Recreated,
        ];
        let write = trace.writes.choose(random).expect("a write");
        Self::AtWrite(write.clone(), *faults.choose(random).expect("a fault"))
    }

    /// Whether a run came to its point.
    pub fn is_met(&self, trace: &Trace) -> bool {
        match self {
            Self::AtWrite(write, _) => trace.writes.contains(write),
            Self::AtEvent(watch, after, _) => trace.events.get(watch).is_some_and(|events| events > after),
        }
    }

    /// Whether another Shop takes the first one's place: its pods have never been replaced.
    pub fn starts_over(&self) -> bool {
        matches!(self, Self::AtWrite(_, WriteFault::Recreated))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtWrite(Write { request, nth }, fault) => write!(f, "{fault:?} at {request} (number {nth})"),
            Self::AtEvent(watch, after, fault) => write!(f, "{fault:?} event of {watch} (number {after})"),
        }
    }
}
