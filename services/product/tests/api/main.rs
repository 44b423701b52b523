//! The product service on a real PostgreSQL and a real RabbitMQ, seen from outside: HTTP, gRPC, events.

mod bucket;
mod categories;
mod currency;
mod events;
mod harness;
mod idempotency;
mod images;
mod limits;
mod matrix;
mod products;
mod reservations;
mod search;
