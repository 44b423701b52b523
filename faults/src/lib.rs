//! The auditor: what must be true of a Shop's stores once nothing is under way, whatever failed before.
//!
//! | rule | says |
//! |---|---|
//! | I1 | every acknowledged checkout is one order, and nothing exists without its order |
//! | I2 | an order is captured at most once, for its total; a canceled one keeps nothing |
//! | I3 | stock is never negative; what is sold, reserved and on hand adds up; a canceled order gives its units back |
//! | I4 | every order, payment and delivery has come to its end, and the ends agree |
//! | I5 | an order's history is a path of the state machine |
//! | I6 | no event is lost: every outbox is empty, every consumer has handled what it was sent, nothing is parked |
//! | I7 | a total is the sum of the catalog's prices times quantities, in every service |
//! | I8 | nobody reads somebody else's order |
//!
//! [`Books`] reads the stores, [`audit`] judges what was read and touches nothing.

mod books;
mod rules;
mod strangers;

pub use books::{
    Addresses, Attempt, Books, Charge, Delivery, Event, Inventory, Line, Move, Order, Parcel, Payment, Queue,
    Reservation, is_refused,
};
pub use rules::{Account, Violation, Witness, audit};
pub use strangers::strangers_read;
