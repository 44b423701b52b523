//! The order service alone, on a real PostgreSQL and a real RabbitMQ, with a catalog that keeps the catalog's contract.
#![expect(clippy::unwrap_used, clippy::large_futures, reason = "a test panics when it fails, and its stack is its own")]

mod cancel;
mod catalog;
mod create;
mod events;
mod harness;
mod idempotency;
mod limits;
mod lists;
mod matrix;
mod resilience;
