//! What passed a door, and whether what was to go wrong there has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::plan::{EventFault, Fault, Plan, Point, ReadFault, Way, WriteFault};

/// The record of one run.
pub struct Record {
    plan: Option<Plan>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Since the scenario began.
    trace: Vec<Point>,
    counts: BTreeMap<(Way, String), usize>,
    /// What took effect.
    changes: BTreeSet<String>,
    /// The version that each write made.
    versions: Vec<String>,
    /// A version that lists show once more, and those that have shown it.
    stale: Option<(String, BTreeSet<String>)>,
    /// Whether something may go wrong now.
    armed: bool,
    /// Whether it did.
    met: bool,
}

impl Record {
    pub fn new(plan: Option<Plan>) -> Self {
        Self { plan, notes: Mutex::default() }
    }

    /// From now on the plan counts what passes.
    pub fn begin(&self) {
        let mut notes = self.notes();
        notes.trace.clear();
        notes.counts.clear();
        notes.armed = true;
    }

    /// From now on nothing goes wrong any more; answers with what has passed.
    pub fn end(&self) -> Vec<Point> {
        let mut notes = self.notes();
        notes.armed = false;
        notes.stale = None;
        notes.trace.clone()
    }

    /// Notes a write, and says what is to become of it.
    pub fn write(&self, request: &str) -> Option<WriteFault> {
        match self.note(Way::Write, request)? {
            Fault::Write(fault) => Some(fault),
            _ => None,
        }
    }

    /// Notes a request that changes nothing, and says what is to become of it.
    pub fn read(&self, way: Way, request: &str) -> Option<ReadFault> {
        match self.note(way, request)? {
            Fault::Read(fault) | Fault::Watch(fault) => Some(fault),
            _ => None,
        }
    }

    /// Notes an event, and says what is to become of it.
    pub fn event(&self, watch: &str) -> Option<EventFault> {
        match self.note(Way::Event, watch)? {
            Fault::Event(fault) => Some(fault),
            _ => None,
        }
    }

    fn note(&self, way: Way, what: &str) -> Option<Fault> {
        let mut notes = self.notes();
        let count = notes.counts.entry((way, what.to_owned())).or_default();
        let nth = *count;
        *count += 1;
        let point = Point { way, what: what.to_owned(), nth };
        let due = self.plan.as_ref().filter(|plan| notes.armed && plan.is_due(&point));
        notes.trace.push(point);
        due.map(|plan| plan.fault)
    }

    /// What the plan is about has gone wrong, and will not again.
    pub fn strike(&self) {
        let mut notes = self.notes();
        notes.armed = false;
        notes.met = true;
    }

    /// Whether it did.
    pub fn is_met(&self) -> bool {
        self.notes().met
    }

    /// The writes since the scenario began.
    pub fn writes(&self) -> Vec<String> {
        let notes = self.notes();
        notes.trace.iter().filter(|point| point.way == Way::Write).map(|point| point.what.clone()).collect()
    }

    /// Notes that a write took effect.
    pub fn changed(&self, request: &str, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let mut notes = self.notes();
        notes.changes.insert(request.to_owned());
        notes.versions.extend(answer["metadata"]["resourceVersion"].as_str().map(str::to_owned));
    }

    /// What took effect in the whole run.
    pub fn changes(&self) -> BTreeSet<String> {
        self.notes().changes.clone()
    }

    /// The next look at each list shows the cluster as it was so many writes ago.
    pub fn deceive_next(&self, writes_ago: usize) {
        let mut notes = self.notes();
        let version = notes.versions.iter().rev().nth(writes_ago).or(notes.versions.first()).cloned();
        notes.stale = version.map(|version| (version, BTreeSet::new()));
    }

    /// The old version that a list shows, if it is to and has not yet.
    pub fn deception(&self, list: &str) -> Option<String> {
        let mut notes = self.notes();
        let (version, shown) = notes.stale.as_mut()?;
        let version = shown.insert(list.to_owned()).then(|| version.clone())?;
        notes.armed = false;
        notes.met = true;
        Some(version)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
