//! Orders while everything around them fails: the services' own binaries as processes, on real stores, behind doors that can
//! be slowed, stopped, cut, or made to fail at a chosen step. Whatever happened, the auditor then finds nothing.
#![expect(clippy::unwrap_used, clippy::large_futures, reason = "a test panics when it fails, and its stack is its own")]

mod campaign;
mod checkout;
mod events;
mod harness;
mod kill_points;
mod pairs;
mod stores;
