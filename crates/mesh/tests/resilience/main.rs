//! Calls over real sockets to servers that are slow, silent, gone or too many.
#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

mod canary;
mod circuit;
mod deadlines;
mod faults;
mod harness;
mod pods;
mod retries;
