//! Messaging with a real broker and a real database, and the trouble both can be in.

mod consumer;
mod dead_letters;
mod harness;
mod proxy;
mod relay;
