//! Calls over real sockets to servers that are slow, silent, gone or too many.

mod circuit;
mod deadlines;
mod faults;
mod harness;
mod pods;
mod retries;
