//! What a payment is and how it moves. No IO.
//!
//! ```text
//! pending --captured--> succeeded --order canceled--> refunding --> refunded
//!    |----declined, expired--> failed
//!    '----order canceled--> canceled, or by way of `canceled_at` when a capture may be under way
//! ```

use jiff::Timestamp;
use shop_core::Money;
use shop_telemetry::Carrier;
use uuid::Uuid;

/// Why a payment failed that the provider was not even asked for.
pub const EXPIRED: &str = "expired";

/// Where a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be captured.
    Pending,
    /// Captured.
    Succeeded,
    /// Not captured, and never will be.
    Failed,
    /// The order was canceled first.
    Canceled,
    /// Captured, and on its way back.
    Refunding,
    /// Given back.
    Refunded,
}

/// A row that holds a state this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the state of a payment")]
pub struct UnknownState(String);

/// One payment: there is one for each order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Also the key of everything the provider is asked for it.
    pub id: Uuid,
    /// Whose payment it is.
    pub order_id: Uuid,
    /// Where it is.
    pub state: State,
    /// How much.
    pub amount: Money,
    /// ISO 4217.
    pub currency: String,
    /// The last moment to begin a capture.
    pub expires_at: Option<Timestamp>,
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

/// What the provider is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To take the money.
    Capture,
    /// To give back what it may have taken, and to take nothing more.
    GiveBack,
}

/// What the provider answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has the money.
    Captured,
    /// It refuses, for this reason.
    Declined(String),
    /// It has given the money back.
    GivenBack,
    /// It never had the money.
    NothingToGiveBack,
}

/// What the others are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// `payment.succeeded`
    Succeeded,
    /// `payment.failed`
    Failed,
    /// `payment.refunded`
    Refunded,
}

impl State {
    /// As the database and the log have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }
}

impl TryFrom<String> for State {
    type Error = UnknownState;

    fn try_from(text: String) -> Result<Self, UnknownState> {
        let all = [Self::Pending, Self::Succeeded, Self::Failed, Self::Canceled, Self::Refunding, Self::Refunded];
        all.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState(text))
    }
}

impl Payment {
    /// A payment that is to be captured at once.
    #[must_use]
    pub fn pending(id: Uuid, order_id: Uuid, amount: Money, currency: String, now: Timestamp) -> Self {
        Self {
            id,
            order_id,
            state: State::Pending,
            amount,
            currency,
            expires_at: None,
            canceled_at: None,
            reason: None,
            trace: Carrier::default(),
            attempts: 0,
            due_at: Some(now),
        }
    }

    /// What is left of an order that was canceled before it was heard of: nothing will be captured for it.
    #[must_use]
    pub fn never(id: Uuid, order_id: Uuid, now: Timestamp) -> Self {
        // XXX is ISO 4217's code for "no currency".
        let nothing = Self::pending(id, order_id, Money(0), "XXX".to_owned(), now);
        Self { state: State::Canceled, canceled_at: Some(now), due_at: None, ..nothing }
    }

    /// What the worker has to do. A claim may follow one whose process died, so a payment that is no longer wanted is asked
    /// back: the provider alone knows whether it was captured.
    #[must_use]
    pub fn next_step(&self, now: Timestamp) -> Option<Step> {
        match self.state {
            State::Pending if self.canceled_at.is_some() || self.is_expired(now) => Some(Step::GiveBack),
            State::Pending => Some(Step::Capture),
            State::Refunding => Some(Step::GiveBack),
            State::Succeeded | State::Failed | State::Canceled | State::Refunded => None,
        }
    }

    /// The order was canceled, in the trace `because`.
    pub fn cancel(&mut self, now: Timestamp, because: Carrier) {
        self.canceled_at.get_or_insert(now);
        match self.state {
            State::Pending if self.attempts == 0 => self.end(State::Canceled),
            State::Succeeded => self.refund(now, because),
            // A capture of what is pending may be under way: whoever finishes it sees `canceled_at`.
            State::Pending | State::Failed | State::Canceled | State::Refunding | State::Refunded => {}
        }
    }

    /// What follows from the provider's answer. `None`: somebody else was faster, and nothing follows.
    pub fn settle(&mut self, outcome: Outcome, now: Timestamp) -> Option<Vec<Announcement>> {
        let wanted = self.canceled_at.is_none();
        match (self.state, outcome) {
            (State::Pending, Outcome::Captured) if wanted => {
                self.end(State::Succeeded);
                Some(vec![Announcement::Succeeded])
            }
            (State::Pending, Outcome::Captured) => {
                self.refund(now, self.trace.clone());
                Some(Vec::new())
            }
            (State::Pending, Outcome::Declined(reason)) if wanted => Some(self.fail(reason)),
            (State::Pending, Outcome::NothingToGiveBack) if wanted => Some(self.fail(EXPIRED.to_owned())),
            (State::Pending, Outcome::GivenBack) if wanted => {
                let mut told = self.fail(EXPIRED.to_owned());
                self.end(State::Refunded);
                told.push(Announcement::Refunded);
                Some(told)
            }
            (State::Pending | State::Refunding, Outcome::GivenBack) => {
                self.end(State::Refunded);
                Some(vec![Announcement::Refunded])
            }
            (State::Pending | State::Refunding, Outcome::NothingToGiveBack)
            | (State::Pending, Outcome::Declined(_)) => {
                self.end(State::Canceled);
                Some(Vec::new())
            }
            (State::Refunding, Outcome::Captured | Outcome::Declined(_))
            | (State::Succeeded | State::Failed | State::Canceled | State::Refunded, _) => None,
        }
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    fn fail(&mut self, reason: String) -> Vec<Announcement> {
        self.reason = Some(reason);
        self.end(State::Failed);
        vec![Announcement::Failed]
    }

    fn refund(&mut self, now: Timestamp, because: Carrier) {
        self.state = State::Refunding;
        self.trace = because;
        self.attempts = 0;
        self.due_at = Some(now);
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

    fn payment(attempts: i32) -> Payment {
        let id = Uuid::from_u128(1);
        Payment { attempts, ..Payment::pending(id, id, Money(1999), "USD".to_owned(), NOW) }
    }

    fn canceled(attempts: i32) -> Payment {
        let mut payment = payment(attempts);
        payment.cancel(NOW, Carrier::default());
        payment
    }

    #[test]
    fn a_payment_that_no_worker_has_touched_is_canceled_without_the_provider() {
        let payment = canceled(0);
        assert_eq!((payment.state, payment.next_step(NOW)), (State::Canceled, None));
        assert_eq!(payment.due_at, None);
    }

    #[test]
    fn a_cancel_during_a_capture_gives_the_money_back_and_claims_no_success() {
        let mut payment = canceled(1);
        assert_eq!(payment.settle(Outcome::Captured, NOW), Some(vec![]));
        assert_eq!((payment.state, payment.next_step(NOW)), (State::Refunding, Some(Step::GiveBack)));
        assert_eq!(payment.settle(Outcome::GivenBack, NOW), Some(vec![Announcement::Refunded]));
        assert_eq!(payment.state, State::Refunded);
    }

    #[test]
    fn a_worker_that_died_may_have_captured_so_a_canceled_payment_is_asked_back() {
        assert_eq!(canceled(2).next_step(NOW), Some(Step::GiveBack));
    }

    #[test]
    fn after_its_last_moment_a_payment_is_not_captured_but_fails() {
        let mut payment = Payment { expires_at: Some(NOW), ..payment(1) };
        assert_eq!(payment.next_step(NOW), Some(Step::GiveBack));
        assert_eq!(payment.settle(Outcome::NothingToGiveBack, NOW), Some(vec![Announcement::Failed]));
        assert_eq!(payment.reason.as_deref(), Some(EXPIRED));
    }

    #[test]
    fn an_expired_payment_that_was_captured_by_a_dead_worker_fails_and_goes_back() {
        let mut payment = Payment { expires_at: Some(NOW), ..payment(2) };
        let told = payment.settle(Outcome::GivenBack, NOW);
        assert_eq!(told, Some(vec![Announcement::Failed, Announcement::Refunded]));
        assert_eq!(payment.state, State::Refunded);
    }

    #[test]
    fn the_slower_of_two_workers_changes_nothing() {
        let mut payment = payment(2);
        assert_eq!(payment.settle(Outcome::Captured, NOW), Some(vec![Announcement::Succeeded]));
        assert_eq!(payment.settle(Outcome::Captured, NOW), None);
        assert_eq!(payment.settle(Outcome::Declined("late".to_owned()), NOW), None);
        assert_eq!(payment.state, State::Succeeded);
    }

    #[test]
    fn a_second_cancel_does_not_refund_twice() {
        let mut payment = payment(1);
        payment.settle(Outcome::Captured, NOW);
        payment.cancel(NOW, Carrier::default());
        payment.settle(Outcome::GivenBack, NOW);
        payment.cancel(NOW, Carrier::default());
        assert_eq!((payment.state, payment.next_step(NOW)), (State::Refunded, None));
    }

    #[test]
    fn every_state_reads_back_as_itself() {
        for state in ["pending", "succeeded", "failed", "canceled", "refunding", "refunded"] {
            assert_eq!(State::try_from(state.to_owned()).unwrap().as_str(), state);
        }
    }
}
