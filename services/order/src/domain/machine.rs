//! The state machine: what becomes of an order when something happens. One pure function, the contract's table.

use super::{PaymentStatus, Reason, Status};

/// What decides about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How far it has come.
    pub status: Status,
    /// Where its money is.
    pub payment: PaymentStatus,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `payment.pending`
    PaymentPending,
    /// `payment.succeeded`
    PaymentSucceeded,
    /// `payment.failed`
    PaymentFailed,
    /// `payment.refunded`
    PaymentRefunded,
    /// `delivery.shipped`
    DeliveryShipped,
    /// `delivery.delivered`
    DeliveryDelivered,
    /// `delivery.failed`
    DeliveryFailed,
    /// `inventory.rejected`
    InventoryRejected,
    /// The buyer cancels.
    CancelRequested,
    /// The time to pay is over.
    Expired,
}

/// One step of an order. Arriving at a status announces it: `order.paid`, `order.shipped`, `order.delivered`, and
/// `order.canceled` with the reason, on which payment refunds, delivery recalls and the catalog restocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The new status.
    pub to: Status,
    /// The new payment status.
    pub payment: PaymentStatus,
    /// For history, and for `order.canceled`.
    pub reason: Reason,
}

impl Move {
    /// Where the order then is.
    #[must_use]
    pub const fn state(self) -> State {
        State { status: self.to, payment: self.payment }
    }
}

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These steps, in this order.
    Moves(Vec<Move>),
    /// Only its money moved.
    Payment(PaymentStatus),
    /// Nothing: a duplicate, or older than what is known.
    Ignored,
    /// Nothing, and whoever asked should know.
    Refused,
}

impl Event {
    /// As metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentPending => "payment.pending",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::PaymentRefunded => "payment.refunded",
            Self::DeliveryShipped => "delivery.shipped",
            Self::DeliveryDelivered => "delivery.delivered",
            Self::DeliveryFailed => "delivery.failed",
            Self::InventoryRejected => "inventory.rejected",
            Self::CancelRequested => "cancel",
            Self::Expired => "expiry",
        }
    }
}

/// What becomes of an order in `state` when `event` happens.
///
/// Events are handled concurrently, so one may overtake another. What an event implies has happened too: an order that is
/// delivered was shipped. A predecessor that arrives afterwards is older than what is known.
#[must_use]
pub fn decide(state: State, event: Event) -> Decision {
    use Event as E;
    use PaymentStatus as P;
    use Status as S;

    let shipped = Move { to: S::Shipped, payment: state.payment, reason: Reason::Shipped };
    let delivered = Move { to: S::Delivered, payment: state.payment, reason: Reason::Delivered };
    let cancel = |payment, reason| Decision::Moves(vec![Move { to: S::Canceled, payment, reason }]);

    match (state.status, event) {
        (S::Created, E::PaymentPending) => {
            Decision::Moves(vec![Move { to: S::Pending, payment: P::Pending, reason: Reason::PaymentPending }])
        }
        (S::Created | S::Pending, E::PaymentSucceeded) => {
            Decision::Moves(vec![Move { to: S::Paid, payment: P::Paid, reason: Reason::PaymentSucceeded }])
        }
        (S::Created | S::Pending, E::PaymentFailed) => cancel(P::Failed, Reason::PaymentFailed),
        // Payment gives back what nobody canceled only with a payment that failed; this overtook it.
        (S::Created | S::Pending, E::PaymentRefunded) => cancel(P::Refunded, Reason::PaymentFailed),
        (S::Created | S::Pending, E::Expired) => cancel(state.payment, Reason::Expired),
        (S::Created | S::Pending, E::CancelRequested) => cancel(state.payment, Reason::CanceledByUser),

        (S::Paid, E::CancelRequested) => cancel(P::Refunding, Reason::CanceledByUser),
        (S::Paid, E::InventoryRejected) => cancel(P::Refunding, Reason::InventoryRejected),
        // Shipped or not, what cannot be handed over comes back, and so does the money.
        (S::Paid | S::Shipped, E::DeliveryFailed) => cancel(P::Refunding, Reason::DeliveryFailed),
        (S::Paid, E::DeliveryShipped) => Decision::Moves(vec![shipped]),
        (S::Paid, E::DeliveryDelivered) => Decision::Moves(vec![shipped, delivered]),
        (S::Shipped, E::DeliveryDelivered) => Decision::Moves(vec![delivered]),
        (S::Shipped | S::Delivered, E::CancelRequested) => Decision::Refused,

        (S::Canceled, E::PaymentSucceeded) => match state.payment {
            P::None | P::Pending | P::Failed => cancel(P::Refunding, Reason::PaidAfterCancel),
            P::Paid | P::Refunding | P::Refunded => Decision::Ignored,
        },
        (S::Canceled, E::PaymentFailed) => match state.payment {
            P::None | P::Pending => Decision::Payment(P::Failed),
            P::Paid | P::Failed | P::Refunding | P::Refunded => Decision::Ignored,
        },
        (S::Canceled, E::PaymentRefunded) => match state.payment {
            P::None | P::Pending | P::Paid | P::Failed | P::Refunding => Decision::Payment(P::Refunded),
            P::Refunded => Decision::Ignored,
        },
        (S::Canceled, E::DeliveryShipped) => cancel(state.payment, Reason::ShippedAfterCancel),

        (S::Pending | S::Paid | S::Shipped | S::Delivered | S::Canceled, E::PaymentPending)
        | (S::Created | S::Pending, E::DeliveryShipped | E::DeliveryDelivered | E::DeliveryFailed)
        | (S::Created | S::Pending | S::Shipped | S::Delivered | S::Canceled, E::InventoryRejected)
        | (
            S::Paid | S::Shipped | S::Delivered,
            E::PaymentSucceeded | E::PaymentFailed | E::PaymentRefunded | E::Expired,
        )
        | (S::Shipped | S::Delivered, E::DeliveryShipped)
        | (S::Delivered, E::DeliveryDelivered | E::DeliveryFailed)
        | (S::Canceled, E::DeliveryDelivered | E::DeliveryFailed | E::CancelRequested | E::Expired) => {
            Decision::Ignored
        }
    }
}

#[cfg(test)]
mod orders_of_events;

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [(&str, State); 9] = [
        ("CREATED/none", State { status: Status::Created, payment: PaymentStatus::None }),
        ("PENDING/pending", State { status: Status::Pending, payment: PaymentStatus::Pending }),
        ("PAID/paid", State { status: Status::Paid, payment: PaymentStatus::Paid }),
        ("SHIPPED/paid", State { status: Status::Shipped, payment: PaymentStatus::Paid }),
        ("DELIVERED/paid", State { status: Status::Delivered, payment: PaymentStatus::Paid }),
        ("CANCELED/none", State { status: Status::Canceled, payment: PaymentStatus::None }),
        ("CANCELED/failed", State { status: Status::Canceled, payment: PaymentStatus::Failed }),
        ("CANCELED/refunding", State { status: Status::Canceled, payment: PaymentStatus::Refunding }),
        ("CANCELED/refunded", State { status: Status::Canceled, payment: PaymentStatus::Refunded }),
    ];

    pub(super) const EVENTS: [Event; 10] = [
        Event::PaymentPending,
        Event::PaymentSucceeded,
        Event::PaymentFailed,
        Event::PaymentRefunded,
        Event::DeliveryShipped,
        Event::DeliveryDelivered,
        Event::DeliveryFailed,
        Event::InventoryRejected,
        Event::CancelRequested,
        Event::Expired,
    ];

    /// Every pair that is not a line here changes nothing.
    const TABLE: &str = "
        CREATED/none       payment.pending    PENDING/pending(payment_pending)
        CREATED/none       payment.succeeded  PAID/paid(payment_succeeded)
        CREATED/none       payment.failed     CANCELED/failed(payment_failed)
        CREATED/none       payment.refunded   CANCELED/refunded(payment_failed)
        CREATED/none       cancel             CANCELED/none(canceled_by_user)
        CREATED/none       expiry             CANCELED/none(expired)
        PENDING/pending    payment.succeeded  PAID/paid(payment_succeeded)
        PENDING/pending    payment.failed     CANCELED/failed(payment_failed)
        PENDING/pending    payment.refunded   CANCELED/refunded(payment_failed)
        PENDING/pending    cancel             CANCELED/pending(canceled_by_user)
        PENDING/pending    expiry             CANCELED/pending(expired)
        PAID/paid          cancel             CANCELED/refunding(canceled_by_user)
        PAID/paid          inventory.rejected CANCELED/refunding(inventory_rejected)
        PAID/paid          delivery.failed    CANCELED/refunding(delivery_failed)
        PAID/paid          delivery.shipped   SHIPPED/paid(shipped)
        PAID/paid          delivery.delivered SHIPPED/paid(shipped),DELIVERED/paid(delivered)
        SHIPPED/paid       delivery.delivered DELIVERED/paid(delivered)
        SHIPPED/paid       delivery.failed    CANCELED/refunding(delivery_failed)
        SHIPPED/paid       cancel             refused
        DELIVERED/paid     cancel             refused
        CANCELED/none      payment.succeeded  CANCELED/refunding(paid_after_cancel)
        CANCELED/none      payment.failed     payment=failed
        CANCELED/none      payment.refunded   payment=refunded
        CANCELED/none      delivery.shipped   CANCELED/none(shipped_after_cancel)
        CANCELED/failed    payment.succeeded  CANCELED/refunding(paid_after_cancel)
        CANCELED/failed    payment.refunded   payment=refunded
        CANCELED/failed    delivery.shipped   CANCELED/failed(shipped_after_cancel)
        CANCELED/refunding payment.refunded   payment=refunded
        CANCELED/refunding delivery.shipped   CANCELED/refunding(shipped_after_cancel)
        CANCELED/refunded  delivery.shipped   CANCELED/refunded(shipped_after_cancel)
    ";

    fn written(decision: &Decision) -> String {
        match decision {
            Decision::Moves(moves) => {
                let moves =
                    moves.iter().map(|step| format!("{}/{}({})", step.to, step.payment.as_str(), step.reason.as_str()));
                moves.collect::<Vec<_>>().join(",")
            }
            Decision::Payment(payment) => format!("payment={}", payment.as_str()),
            Decision::Ignored => "ignored".to_owned(),
            Decision::Refused => "refused".to_owned(),
        }
    }

    fn expected(state: &str, event: &str) -> String {
        let row = TABLE.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = row.filter(|row| row.len() == 3).find(|row| (row[0], row[1]) == (state, event));
        found.map_or("ignored", |row| row[2]).to_owned()
    }

    #[test]
    fn every_pair_of_state_and_event_becomes_what_the_contract_says() {
        for (name, state) in STATES {
            for event in EVENTS {
                let decision = written(&decide(state, event));
                assert_eq!(decision, expected(name, event.as_str()), "{name} and {}", event.as_str());
            }
        }
    }

    #[test]
    fn every_line_of_the_table_is_a_pair_that_exists() {
        for row in TABLE.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| !row.is_empty()) {
            assert!(STATES.iter().any(|(name, _)| *name == row[0]), "{row:?}");
            assert!(EVENTS.iter().any(|event| event.as_str() == row[1]), "{row:?}");
        }
    }

    #[test]
    fn the_same_event_twice_moves_an_order_once_except_a_recall() {
        for (name, state) in STATES {
            for event in EVENTS {
                let Decision::Moves(moves) = decide(state, event) else { continue };
                let Some(last) = moves.last() else { panic!("{name}: a decision to move without a move") };
                let after = State { status: last.to, payment: last.payment };
                let again = decide(after, event);
                let recalled = event == Event::DeliveryShipped && after.status == Status::Canceled;
                assert!(recalled || again == Decision::Ignored, "{name}, {} twice: {again:?}", event.as_str());
            }
        }
    }

    #[test]
    fn an_order_that_is_over_never_comes_back_to_life() {
        for (name, state) in STATES {
            for event in EVENTS {
                let Decision::Moves(moves) = decide(state, event) else { continue };
                let over = matches!(state.status, Status::Canceled | Status::Delivered);
                assert!(!over || moves.iter().all(|step| step.to == state.status), "{name} and {}", event.as_str());
            }
        }
    }
}
