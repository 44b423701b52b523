//! Payment on a real database and a real broker, with a provider that keeps count.

mod harness;
mod mock;
mod once;
mod undo;
