//! What a delivery is and how it moves. No IO.
//!
//! ```text
//! pending --shipped--> shipped --at the door--> delivered
//!    |                    |------lost--> failed      |
//!    |------refused--> failed    '----order canceled-+-> recalling --> recalled
//!    '------order canceled--> canceled, or by way of `canceled_at` when it may be being shipped
//! ```

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_telemetry::Carrier;
use uuid::Uuid;

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be shipped.
    Pending,
    /// With the carrier.
    Shipped,
    /// At the door.
    Delivered,
    /// Not at the door, and never will be.
    Failed,
    /// The order was canceled first.
    Canceled,
    /// To be called back.
    Recalling,
    /// Called back.
    Recalled,
}

/// A row that holds a state this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the state of a delivery")]
pub struct UnknownState(String);

/// Where to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// To whom.
    pub full_name: String,
    /// Whom to call at the door.
    pub phone: String,
    /// The city.
    pub city: String,
    /// Street and number.
    pub street: String,
}

/// One delivery: there is one for each order.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Also the key of everything the carrier is asked for it.
    pub id: Uuid,
    /// Whose delivery it is.
    pub order_id: Uuid,
    /// Where it is.
    pub state: State,
    /// Where to.
    pub address: Address,
    /// When the order was canceled.
    pub canceled_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The trace its next step belongs to.
    pub trace: Carrier,
    /// How often a worker has begun the next step.
    pub attempts: i32,
    /// When the next step is due.
    pub due_at: Option<Timestamp>,
}

/// What the carrier is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To take the parcel.
    Ship,
    /// Where the parcel is.
    Track,
    /// To bring back what it may have taken, and to take nothing more.
    Recall,
}

/// What the carrier answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has the parcel; this is how long it will be on its way.
    Shipped(Duration),
    /// It does not take the parcel, for this reason.
    Refused(String),
    /// It needs this much longer.
    OnItsWay(Duration),
    /// It was handed over.
    Arrived,
    /// It cannot be handed over, for this reason.
    Undeliverable(String),
    /// It comes back.
    Recalled,
    /// It never had the parcel.
    NothingToRecall,
}

/// What the others are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// `delivery.shipped`
    Shipped,
    /// `delivery.delivered`
    Delivered,
    /// `delivery.failed`
    Failed,
}

impl State {
    /// As the database and the log have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Recalling => "recalling",
            Self::Recalled => "recalled",
        }
    }
}

impl TryFrom<String> for State {
    type Error = UnknownState;

    fn try_from(text: String) -> Result<Self, UnknownState> {
        let ends = [Self::Delivered, Self::Failed, Self::Canceled, Self::Recalled];
        let all = [Self::Pending, Self::Shipped, Self::Recalling].into_iter().chain(ends);
        all.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState(text))
    }
}

impl Delivery {
    /// A delivery that is to be shipped at once.
    #[must_use]
    pub fn pending(id: Uuid, order_id: Uuid, address: Address, now: Timestamp) -> Self {
        Self {
            id,
            order_id,
            state: State::Pending,
            address,
            canceled_at: None,
            reason: None,
            trace: Carrier::default(),
            attempts: 0,
            due_at: Some(now),
        }
    }

    /// What is left of an order that was canceled before it was paid: nothing will be shipped for it.
    #[must_use]
    pub fn never(id: Uuid, order_id: Uuid, now: Timestamp) -> Self {
        let nothing = Self::pending(id, order_id, Address::default(), now);
        Self { state: State::Canceled, canceled_at: Some(now), due_at: None, ..nothing }
    }

    /// What the worker has to do. A claim may follow one whose process died, so a delivery that is no longer wanted is called
    /// back: the carrier alone knows whether it was shipped.
    #[must_use]
    pub fn next_step(&self) -> Option<Step> {
        match self.state {
            State::Pending if self.canceled_at.is_some() => Some(Step::Recall),
            State::Pending => Some(Step::Ship),
            State::Shipped => Some(Step::Track),
            State::Recalling => Some(Step::Recall),
            State::Delivered | State::Failed | State::Canceled | State::Recalled => None,
        }
    }

    /// The order was canceled, in the trace `because`.
    pub fn cancel(&mut self, now: Timestamp, because: Carrier) {
        self.canceled_at.get_or_insert(now);
        match self.state {
            State::Pending if self.attempts == 0 => self.end(State::Canceled),
            // The buyer may have canceled before the news came that it was shipped, and by now it is at the door.
            State::Shipped | State::Delivered => {
                self.trace = because;
                self.go_on(State::Recalling, now);
            }
            // What is pending may be being shipped: whoever does it sees `canceled_at`.
            State::Pending | State::Failed | State::Canceled | State::Recalling | State::Recalled => {}
        }
    }

    /// What follows from the carrier's answer. `None`: somebody else was faster, and nothing follows.
    pub fn settle(&mut self, outcome: Outcome, now: Timestamp) -> Option<Vec<Announcement>> {
        let wanted = self.canceled_at.is_none();
        match (self.state, outcome) {
            (State::Pending, Outcome::Shipped(takes)) if wanted => {
                self.go_on(State::Shipped, now + takes);
                Some(vec![Announcement::Shipped])
            }
            (State::Pending, Outcome::Shipped(_)) => {
                self.go_on(State::Recalling, now);
                Some(Vec::new())
            }
            (State::Pending, Outcome::Refused(reason)) if wanted => Some(self.fail(reason)),
            (State::Shipped, Outcome::OnItsWay(takes)) => {
                self.go_on(State::Shipped, now + takes);
                Some(Vec::new())
            }
            (State::Shipped, Outcome::Arrived) => {
                self.end(State::Delivered);
                Some(vec![Announcement::Delivered])
            }
            (State::Shipped, Outcome::Undeliverable(reason)) => Some(self.fail(reason)),
            (State::Pending | State::Recalling, Outcome::Recalled) => {
                self.end(State::Recalled);
                Some(Vec::new())
            }
            (State::Pending | State::Recalling, Outcome::NothingToRecall) | (State::Pending, Outcome::Refused(_)) => {
                self.end(State::Canceled);
                Some(Vec::new())
            }
            // Answers to questions that no longer matter.
            (
                State::Pending | State::Recalling,
                Outcome::OnItsWay(_) | Outcome::Arrived | Outcome::Undeliverable(_),
            )
            | (State::Shipped | State::Recalling, Outcome::Shipped(_) | Outcome::Refused(_))
            | (State::Shipped, Outcome::Recalled | Outcome::NothingToRecall)
            | (State::Delivered | State::Failed | State::Canceled | State::Recalled, _) => None,
        }
    }

    fn fail(&mut self, reason: String) -> Vec<Announcement> {
        self.reason = Some(reason);
        self.end(State::Failed);
        vec![Announcement::Failed]
    }

    fn go_on(&mut self, state: State, due_at: Timestamp) {
        self.state = state;
        self.attempts = 0;
        self.due_at = Some(due_at);
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.due_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_hours(1);

    fn delivery(attempts: i32) -> Delivery {
        let id = Uuid::from_u128(1);
        Delivery { attempts, ..Delivery::pending(id, id, Address::default(), NOW) }
    }

    fn shipped() -> Delivery {
        let mut delivery = delivery(1);
        assert_eq!(delivery.settle(Outcome::Shipped(HOUR), NOW), Some(vec![Announcement::Shipped]));
        delivery
    }

    #[test]
    fn a_parcel_is_looked_for_when_it_should_be_there() {
        let mut delivery = shipped();
        assert_eq!((delivery.next_step(), delivery.due_at), (Some(Step::Track), Some(NOW + HOUR)));
        assert_eq!(delivery.settle(Outcome::OnItsWay(HOUR), NOW + HOUR), Some(Vec::new()));
        assert_eq!(delivery.due_at, Some(NOW + HOUR + HOUR));
        assert_eq!(delivery.settle(Outcome::Arrived, NOW), Some(vec![Announcement::Delivered]));
        assert_eq!((delivery.next_step(), delivery.due_at), (None, None));
    }

    #[test]
    fn a_delivery_that_no_worker_has_touched_is_canceled_and_never_ships() {
        let mut delivery = delivery(0);
        delivery.cancel(NOW, Carrier::default());
        assert_eq!((delivery.state, delivery.next_step(), delivery.due_at), (State::Canceled, None, None));
    }

    #[test]
    fn a_cancel_during_shipping_calls_the_parcel_back_and_claims_no_shipment() {
        let mut delivery = delivery(1);
        delivery.cancel(NOW, Carrier::default());
        assert_eq!(delivery.settle(Outcome::Shipped(HOUR), NOW), Some(Vec::new()));
        assert_eq!((delivery.next_step(), delivery.due_at), (Some(Step::Recall), Some(NOW)));
        assert_eq!(delivery.settle(Outcome::Recalled, NOW), Some(Vec::new()));
        assert_eq!(delivery.state, State::Recalled);
    }

    #[test]
    fn a_parcel_that_is_called_back_does_not_arrive() {
        let mut delivery = shipped();
        delivery.cancel(NOW, Carrier::default());
        assert_eq!(delivery.settle(Outcome::Arrived, NOW), None);
        assert_eq!(delivery.next_step(), Some(Step::Recall));
    }

    #[test]
    fn a_parcel_at_the_door_of_somebody_who_canceled_comes_back() {
        let mut delivery = shipped();
        assert_eq!(delivery.settle(Outcome::Arrived, NOW), Some(vec![Announcement::Delivered]));
        delivery.cancel(NOW, Carrier::default());
        assert_eq!((delivery.next_step(), delivery.due_at), (Some(Step::Recall), Some(NOW)));
        assert_eq!(delivery.settle(Outcome::Recalled, NOW), Some(Vec::new()));
        assert_eq!(delivery.state, State::Recalled);
    }

    #[test]
    fn a_worker_that_died_may_have_shipped_so_a_canceled_delivery_is_called_back() {
        let mut delivery = delivery(2);
        delivery.cancel(NOW, Carrier::default());
        assert_eq!(delivery.next_step(), Some(Step::Recall));
        assert_eq!(delivery.settle(Outcome::NothingToRecall, NOW), Some(Vec::new()));
        assert_eq!(delivery.state, State::Canceled);
    }

    #[test]
    fn a_parcel_that_is_lost_or_refused_fails_with_a_reason() {
        let (mut lost, mut refused) = (shipped(), delivery(1));
        assert_eq!(lost.settle(Outcome::Undeliverable("lost".to_owned()), NOW), Some(vec![Announcement::Failed]));
        assert_eq!(refused.settle(Outcome::Refused("too far".to_owned()), NOW), Some(vec![Announcement::Failed]));
        assert_eq!((lost.reason.as_deref(), refused.reason.as_deref()), (Some("lost"), Some("too far")));
    }

    #[test]
    fn every_state_reads_back_as_itself() {
        for state in ["pending", "shipped", "delivered", "failed", "canceled", "recalling", "recalled"] {
            assert_eq!(State::try_from(state.to_owned()).unwrap().as_str(), state);
        }
    }
}
