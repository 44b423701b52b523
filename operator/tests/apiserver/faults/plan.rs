//! What goes wrong, and where.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::StatusCode;
use rand::RngExt;
use rand::rngs::StdRng;

use super::scenario::Scenario;

/// What a write is called that tells people of the Shop.
pub const NEWS: &str = "an event";

/// How something passes between an operator and the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A request that changes something.
    Write,
    /// A request for one object.
    Get,
    /// A request for all objects of a kind.
    List,
    /// A request that begins a watch.
    Watch,
    /// An event of a watch.
    Event,
}

/// Something that an operator did or heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub way: Way,
    /// Method and path.
    pub what: String,
    /// How often the same was there before.
    pub nth: usize,
}

impl Point {
    /// Where it stands among others in a draw.
    fn lot(&self, seed: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (seed, &self.what, self.nth).hash(&mut hasher);
        hasher.finish()
    }
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is played meanwhile: the shortest scenario that comes to the point.
    pub scenario: Scenario,
    pub at: Point,
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Write(WriteFault),
    Read(ReadFault),
    /// The same, at the beginning of a watch. Of a version that is gone the API server itself tells there by an event.
    Watch(ReadFault),
    Event(EventFault),
}

/// What happens to a write, or to who sends it.
#[derive(Clone, Copy, Debug)]
pub enum WriteFault {
    /// The operator is killed before it is sent.
    CrashBefore,
    /// The operator is killed after it took effect, before the answer.
    CrashAfter,
    /// The same, and each list first shows the next operator the cluster as it was so many writes before.
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

/// What happens to a read.
#[derive(Clone, Copy, Debug)]
pub enum ReadFault {
    /// The API server refuses it.
    Refused(StatusCode),
    /// The connection ends before the answer.
    Disconnected,
    /// The connection ends in the middle of the answer.
    Broken,
}

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFault {
    /// It is lost with the watch, which has to begin anew.
    Gone,
    /// The same, and each list shows the cluster once more as it was so many writes before.
    GoneAndStale(usize),
    /// It is lost in silence, and the watch goes on.
    Dropped,
    /// It never arrives, because a later one of the same object takes its place. If the next one is of another object, it
    /// happens to the first event after it to which it can.
    Overwritten,
    /// It arrives after one of another object, or a second late. If the next one is of the same object, it happens to the
    /// first event after it to which it can.
    Late,
    /// The watch ends in the middle of it, as if all had been said.
    Ended,
    /// The connection ends in the middle of it.
    Broken,
}

impl Fault {
    /// Everything that can go wrong.
    pub fn all(random: &mut StdRng) -> Vec<Self> {
        let writes = [
            WriteFault::CrashBefore,
            WriteFault::CrashAfter,
            WriteFault::CrashAndStale(random.random_range(1..20)),
            WriteFault::ReplyLost,
            WriteFault::Disconnected,
            WriteFault::Unanswered,
            WriteFault::Refused(StatusCode::CONFLICT),
            WriteFault::Refused(StatusCode::TOO_MANY_REQUESTS),
            WriteFault::Refused(StatusCode::INTERNAL_SERVER_ERROR),
            WriteFault::Recreated,
        ];
        let reads = [
            ReadFault::Refused(StatusCode::TOO_MANY_REQUESTS),
            ReadFault::Refused(StatusCode::INTERNAL_SERVER_ERROR),
            ReadFault::Refused(StatusCode::GONE),
            ReadFault::Disconnected,
            ReadFault::Broken,
        ];
        // What breaks off in a watch is an event.
        let watches = reads.into_iter().filter(|fault| !matches!(fault, ReadFault::Broken));
        let events = [
            EventFault::Gone,
            EventFault::GoneAndStale(random.random_range(1..20)),
            EventFault::Dropped,
            EventFault::Overwritten,
            EventFault::Late,
            EventFault::Ended,
            EventFault::Broken,
        ];
        let requests = writes.map(Self::Write).into_iter().chain(reads.map(Self::Read)).chain(watches.map(Self::Watch));
        requests.chain(events.map(Self::Event)).collect()
    }

    /// Whether it leaves it open what the operator knows of its own write.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::Write(WriteFault::CrashBefore | WriteFault::CrashAfter | WriteFault::ReplyLost))
    }

    /// Its name, without numbers that are drawn.
    pub fn kind(self) -> String {
        match self {
            Self::Write(WriteFault::CrashAndStale(_)) => "write CrashAndStale".to_owned(),
            Self::Write(fault) => format!("write {fault:?}"),
            Self::Read(fault) => format!("read {fault:?}"),
            Self::Watch(fault) => format!("watch {fault:?}"),
            Self::Event(EventFault::GoneAndStale(_)) => "event GoneAndStale".to_owned(),
            Self::Event(fault) => format!("event {fault:?}"),
        }
    }

    /// Whether it can happen there.
    fn fits(self, point: &Point) -> bool {
        match self {
            // Whoever waited for what the news are about has gone on by then, and would miss the Shop.
            Self::Write(WriteFault::Recreated) => point.way == Way::Write && point.what != NEWS,
            Self::Write(_) => point.way == Way::Write,
            // By name there is no asking for a version.
            Self::Read(ReadFault::Refused(StatusCode::GONE)) => point.way == Way::List,
            Self::Read(_) => matches!(point.way, Way::Get | Way::List),
            Self::Watch(_) => point.way == Way::Watch,
            // What is said of a Shop itself is not said again: an edit is seen after five minutes then, for which no scene has the
            // patience, and a new Shop never. Of all else more is heard, or it is on its way and looked at every twenty seconds.
            Self::Event(EventFault::Dropped) => point.way == Way::Event && !point.what.ends_with("/shops"),
            Self::Event(_) => point.way == Way::Event,
        }
    }

    /// Whether a scenario can end then as it does without it.
    fn suits(self, scenario: Scenario) -> bool {
        match scenario {
            // Whoever is shown a Shop that stops as it was before looks again after five minutes.
            Scenario::Sleep => !matches!(self, Self::Event(EventFault::GoneAndStale(_))),
            // It stops too, and the next Shop of the name has other volumes.
            Scenario::Keep => {
                !matches!(self, Self::Write(WriteFault::Recreated) | Self::Event(EventFault::GoneAndStale(_)))
            }
            // The next Shop has no pods yet whose number could stay, and whoever is not shown a Deployment knows of none.
            Scenario::Scale => !matches!(
                self,
                Self::Write(WriteFault::Recreated | WriteFault::CrashAndStale(_))
                    | Self::Event(EventFault::GoneAndStale(_))
            ),
            _ => true,
        }
    }
}

impl Plan {
    /// The fault at so many points of what the reference of a scenario did and heard. No two references do all in the same order,
    /// or read the same as often; so each point has a lot of its own, which follows from its name.
    pub fn drawn(scenario: Scenario, fault: Fault, trace: &[Point], count: usize, random: &mut StdRng) -> Vec<Self> {
        let seed: u64 = random.random();
        let mut points: Vec<&Point> = trace.iter().filter(|point| fault.suits(scenario) && fault.fits(point)).collect();
        points.sort_by_cached_key(|point| point.lot(seed));
        points.into_iter().take(count).map(|at| Self { scenario, at: at.clone(), fault }).collect()
    }

    /// Whether it is to happen at a point, if it has not happened yet.
    pub fn is_due(&self, point: &Point) -> bool {
        match self.fault {
            Fault::Event(EventFault::Overwritten | EventFault::Late) => {
                (self.at.way, &self.at.what) == (point.way, &point.what) && self.at.nth <= point.nth
            }
            _ => self.at == *point,
        }
    }

    /// Whether another Shop takes the first one's place: its pods have never been replaced.
    pub fn starts_over(&self) -> bool {
        matches!(self.fault, Fault::Write(WriteFault::Recreated))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, at: Point { what, nth, .. }, fault } = self;
        write!(f, "{scenario:?}: {fault:?} at {what} (number {nth})")
    }
}
