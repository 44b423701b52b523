//! Delivery on a real database and a real broker, with a carrier that keeps count.

mod edge;
mod harness;
mod mock;
mod once;
mod time;
mod undo;
