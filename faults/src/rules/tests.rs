//! The auditor notices what it is there to notice: sound books, one thing changed at a time.

use super::*;
use crate::books::{Attempt, Event, Inventory, Line, Move, Queue};

const ORDER: Uuid = Uuid::from_u128(1);
const BUYER: Uuid = Uuid::from_u128(2);
const PRODUCT: Uuid = Uuid::from_u128(3);
const PAYMENT: Uuid = Uuid::from_u128(4);
const DELIVERY: Uuid = Uuid::from_u128(5);
const PAID: Uuid = Uuid::from_u128(6);

fn path(statuses: &[&str]) -> Vec<Move> {
    statuses.iter().map(|status| Move { order_id: ORDER, status: (*status).to_owned() }).collect()
}

/// One delivered order of two units at 1999.
fn sound() -> (Books, Witness) {
    let line = Line { order_id: ORDER, product_id: PRODUCT, unit_price_minor: 1999, quantity: 2 };
    let order = Order {
        id: ORDER,
        user_id: BUYER,
        status: "DELIVERED".to_owned(),
        payment_status: "paid".to_owned(),
        total_minor: 3998,
    };
    let books = Books {
        orders: vec![order],
        lines: vec![line.clone()],
        moves: path(&["CREATED", "PENDING", "PAID", "SHIPPED", "DELIVERED"]),
        payments: vec![Payment { id: PAYMENT, order_id: ORDER, state: "succeeded".to_owned(), amount_minor: 3998 }],
        charges: vec![Charge { key: PAYMENT, amount_minor: 3998, entry: "captured".to_owned() }],
        deliveries: vec![Delivery { id: DELIVERY, order_id: ORDER, state: "delivered".to_owned() }],
        parcels: vec![Parcel { key: DELIVERY, entry: "delivered".to_owned() }],
        inventory: vec![Inventory { product_id: PRODUCT, stock: 8, reserved: 0 }],
        reservations: vec![Reservation { order_id: ORDER, state: "committed".to_owned() }],
        reserved: vec![line],
        events: vec![Event { service: "order", id: PAID, key: "order.paid".to_owned(), sent: true }],
        handled: ["product", "delivery"].map(|service| (service, HashSet::from([PAID]))).into(),
        queues: Vec::new(),
        attempts: vec![Attempt { user_id: BUYER, order_id: ORDER, done: true }],
    };
    let account = Account { user_id: BUYER, acknowledged: vec![ORDER], uncertain: 0 };
    (books, Witness { accounts: vec![account], stock: HashMap::from([(PRODUCT, 10)]) })
}

/// The rules that are broken when `change` was made to sound books.
fn broken(change: impl FnOnce(&mut Books, &mut Witness)) -> Vec<&'static str> {
    let (mut books, mut witness) = sound();
    change(&mut books, &mut witness);
    let mut rules: Vec<_> = audit(&books, &witness).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn sound_books_break_no_rule() {
    let (books, witness) = sound();
    assert_eq!(audit(&books, &witness), []);
}

#[test]
fn an_order_that_was_acknowledged_and_is_not_there_is_noticed() {
    let lost = Uuid::from_u128(99);
    assert_eq!(broken(|_, witness| witness.accounts[0].acknowledged[0] = lost), ["I1"]);
    assert_eq!(broken(|_, witness| witness.accounts[0].user_id = lost), ["I1"]);
}

#[test]
fn an_order_that_nobody_asked_for_is_noticed() {
    assert_eq!(broken(|_, witness| witness.accounts[0].acknowledged.clear()), ["I1"]);
    assert_eq!(broken(|books, _| books.attempts[0].user_id = PRODUCT), ["I1"]);
    assert!(
        broken(|books, _| books.payments.iter_mut().for_each(|payment| payment.order_id = DELIVERY)).contains(&"I1")
    );
}

#[test]
fn a_checkout_of_unknown_outcome_may_have_made_an_order_or_not() {
    let unsure = |witness: &mut Witness| {
        witness.accounts[0].acknowledged.clear();
        witness.accounts[0].uncertain = 1;
    };
    assert!(broken(|_, witness| unsure(witness)).is_empty());
}

#[test]
fn money_that_was_taken_twice_kept_or_not_taken_is_noticed() {
    let other = Charge { key: ORDER, amount_minor: 3998, entry: "captured".to_owned() };
    assert_eq!(broken(|books, _| books.charges.push(other)), ["I2"]);
    assert_eq!(broken(|books, _| books.charges[0].amount_minor = 1), ["I2"]);
    assert_eq!(broken(|books, _| books.charges.clear()), ["I2"]);
    let canceled = |books: &mut Books| {
        books.orders[0].status = "CANCELED".to_owned();
        books.moves = path(&["CREATED", "CANCELED"]);
        books.reservations[0].state = "released".to_owned();
        books.inventory[0].stock = 10;
        books.parcels[0].entry = "recalled".to_owned();
    };
    assert_eq!(broken(|books, _| canceled(books)), ["I2"]);
}

#[test]
fn a_parcel_that_stays_with_somebody_whose_order_is_canceled_is_noticed() {
    let canceled = |parcel: &'static str| {
        broken(|books, _| {
            books.orders[0].status = "CANCELED".to_owned();
            books.orders[0].payment_status = "refunded".to_owned();
            books.moves = path(&["CREATED", "CANCELED"]);
            books.reservations[0].state = "released".to_owned();
            books.inventory[0].stock = 10;
            books.charges[0].entry = "refunded".to_owned();
            books.payments[0].state = "refunded".to_owned();
            books.parcels[0].entry = parcel.to_owned();
        })
    };
    assert_eq!(canceled("delivered"), ["I4"]);
    assert!(canceled("recalled").is_empty());
}

#[test]
fn stock_that_does_not_add_up_is_noticed() {
    assert_eq!(broken(|books, _| books.inventory[0].stock = -1), ["I3"]);
    assert_eq!(broken(|books, _| books.inventory[0].stock = 9), ["I3"]);
    assert_eq!(broken(|books, _| books.inventory[0].reserved = 1), ["I3"]);
    assert_eq!(broken(|books, _| books.reservations[0].state = "released".to_owned()), ["I3"]);
}

#[test]
fn what_has_not_come_to_its_end_is_noticed() {
    assert_eq!(broken(|books, _| books.payments[0].state = "pending".to_owned()), ["I4"]);
    assert_eq!(broken(|books, _| books.deliveries[0].state = "shipped".to_owned()), ["I4"]);
    assert_eq!(broken(|books, _| books.parcels[0].entry = "recalled".to_owned()), ["I4"]);
}

#[test]
fn a_history_that_is_no_path_is_noticed() {
    for wrong in [&["CREATED", "DELIVERED"][..], &["CREATED", "PAID", "PENDING", "PAID", "SHIPPED", "DELIVERED"], &[]] {
        assert_eq!(broken(|books, _| books.moves = path(wrong)), ["I5"]);
    }
}

#[test]
fn an_event_that_was_not_sent_not_handled_or_parked_is_noticed() {
    assert_eq!(broken(|books, _| books.events[0].sent = false), ["I6"]);
    assert_eq!(broken(|books, _| _ = books.handled.insert("delivery", HashSet::new())), ["I6"]);
    let parked = Queue { name: "order.events.dead".to_owned(), messages: 1 };
    assert_eq!(broken(|books, _| books.queues.push(parked)), ["I6"]);
}

#[test]
fn a_total_that_is_not_the_sum_of_its_lines_is_noticed() {
    assert_eq!(broken(|books, _| books.lines[0].unit_price_minor = 1), ["I7"]);
    assert_eq!(broken(|books, _| books.reserved[0].unit_price_minor = 1), ["I7"]);
    assert_eq!(broken(|books, _| books.payments[0].amount_minor = 1), ["I7"]);
}
