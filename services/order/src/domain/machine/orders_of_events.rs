//! Events overtake each other and come twice. Whatever the sequence, an order ends where it should, and keeps its rules on
//! the way there.

use super::{tests::EVENTS, *};
use Event::{
    CancelRequested, DeliveryDelivered, DeliveryFailed, DeliveryShipped, Expired, InventoryRejected, PaymentFailed,
    PaymentPending, PaymentRefunded, PaymentSucceeded,
};

const PLACED: State = State { status: Status::Created, payment: PaymentStatus::None };

/// Events, which of them cause which, and the state they end in.
type Row = (&'static [Event], &'static [(Event, Event)], (Status, PaymentStatus));

/// What happened to an order that met a sequence of events.
struct Course {
    state: State,
    moves: Vec<Move>,
}

fn run(events: &[Event]) -> Course {
    let mut course = Course { state: PLACED, moves: Vec::new() };
    for event in events {
        match decide(course.state, *event) {
            Decision::Moves(moves) => {
                for step in moves {
                    course.state = State { status: step.to, payment: step.payment };
                    course.moves.push(step);
                }
            }
            Decision::Payment(payment) => course.state.payment = payment,
            Decision::Ignored | Decision::Refused => {}
        }
    }
    course
}

/// Every sequence of `events` in which each comes after those of `after` that name it second.
fn sequences(events: &[Event], after: &[(Event, Event)]) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for (at, first) in events.iter().enumerate() {
        if after.iter().any(|(cause, effect)| effect == first && events.contains(cause)) {
            continue;
        }
        let rest = [&events[..at], &events[at + 1..]].concat();
        for mut sequence in sequences(&rest, after) {
            sequence.insert(0, *first);
            found.push(sequence);
        }
    }
    found
}

/// Every way to hear each event of a sequence once more, at or after the first time.
fn with_a_duplicate(sequence: &[Event]) -> impl Iterator<Item = Vec<Event>> {
    let places = (0..sequence.len()).flat_map(|first| (first + 1..=sequence.len()).map(move |again| (first, again)));
    places.map(|(first, again)| {
        let mut longer = sequence.to_vec();
        longer.insert(again, sequence[first]);
        longer
    })
}

#[test]
fn whatever_overtakes_what_the_same_events_end_in_the_same_state() {
    const PAID_FIRST: [(Event, Event); 2] =
        [(PaymentSucceeded, DeliveryShipped), (PaymentSucceeded, DeliveryDelivered)];
    const RETURNED: [(Event, Event); 3] =
        [(PaymentSucceeded, DeliveryShipped), (PaymentSucceeded, DeliveryFailed), (DeliveryFailed, PaymentRefunded)];
    const SOLD_OUT: [(Event, Event); 2] = [(PaymentSucceeded, InventoryRejected), (InventoryRejected, PaymentRefunded)];
    let rows: [Row; 8] = [
        (
            &[PaymentPending, PaymentSucceeded, DeliveryShipped, DeliveryDelivered],
            &PAID_FIRST,
            (Status::Delivered, PaymentStatus::Paid),
        ),
        (&[PaymentPending, PaymentFailed], &[], (Status::Canceled, PaymentStatus::Failed)),
        (&[PaymentPending, PaymentFailed, PaymentRefunded], &[], (Status::Canceled, PaymentStatus::Refunded)),
        (
            &[PaymentPending, PaymentSucceeded, DeliveryShipped, DeliveryFailed, PaymentRefunded],
            &RETURNED,
            (Status::Canceled, PaymentStatus::Refunded),
        ),
        (
            &[PaymentPending, PaymentSucceeded, InventoryRejected, PaymentRefunded],
            &SOLD_OUT,
            (Status::Canceled, PaymentStatus::Refunded),
        ),
        (
            &[CancelRequested, PaymentPending, PaymentRefunded],
            &[(CancelRequested, PaymentRefunded)],
            (Status::Canceled, PaymentStatus::Refunded),
        ),
        (
            &[Expired, PaymentPending, PaymentFailed],
            &[(Expired, PaymentFailed)],
            (Status::Canceled, PaymentStatus::Failed),
        ),
        (
            &[Expired, PaymentSucceeded, PaymentRefunded],
            &[(Expired, PaymentSucceeded), (Expired, PaymentRefunded)],
            (Status::Canceled, PaymentStatus::Refunded),
        ),
    ];
    for (events, after, (status, payment)) in rows {
        for sequence in sequences(events, after) {
            assert_eq!(run(&sequence).state, State { status, payment }, "{sequence:?}");
            for longer in with_a_duplicate(&sequence) {
                assert_eq!(run(&longer).state, State { status, payment }, "{longer:?}");
            }
        }
    }
}

/// The rules an order keeps whatever it hears, also what its neighbours would never say.
fn check_rules(events: &[Event]) {
    let Course { state, moves } = run(events);
    let mut path = vec![Status::Created];
    path.extend(moves.iter().map(|step| step.to));
    for pair in path.windows(2) {
        let known = matches!(
            (pair[0], pair[1]),
            (Status::Created, Status::Pending | Status::Paid | Status::Canceled)
                | (Status::Pending, Status::Paid | Status::Canceled)
                | (Status::Paid, Status::Shipped | Status::Canceled)
                | (Status::Shipped, Status::Delivered | Status::Canceled)
                | (Status::Canceled, Status::Canceled)
        );
        assert!(known, "{events:?}: {} became {}", pair[0], pair[1]);
    }
    for status in [Status::Paid, Status::Shipped, Status::Delivered] {
        let told = path.iter().filter(|at| **at == status).count();
        assert!(told <= 1, "{events:?}: {status} was announced {told} times");
    }
    // Money is asked back by `order.canceled`, and that follows every payment of an order that ends without delivery.
    if state.status == Status::Canceled && events.contains(&PaymentSucceeded) {
        let asked_back = matches!(state.payment, PaymentStatus::Refunding | PaymentStatus::Refunded);
        assert!(asked_back, "{events:?}: paid, canceled and not refunded");
    }
}

#[test]
fn no_sequence_of_five_events_makes_an_order_break_its_rules() {
    let mut sequences: Vec<Vec<Event>> = vec![Vec::new()];
    for _ in 0..5 {
        let longer = sequences.iter().flat_map(|sequence| {
            EVENTS.iter().map(move |event| sequence.iter().copied().chain([*event]).collect::<Vec<_>>())
        });
        sequences = longer.collect();
        for events in &sequences {
            check_rules(events);
        }
    }
}
