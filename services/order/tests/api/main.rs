//! The order service alone, on a real PostgreSQL and a real RabbitMQ, with a catalog that keeps the catalog's contract.
#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

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
