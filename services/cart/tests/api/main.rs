//! The cart service on a real Redis and a real broker, with its neighbours' contracts beside it.

mod cart;
mod catalog;
mod checkout;
mod harness;
mod idempotency;
mod limits;
mod matrix;
mod neighbours;
mod resilience;
