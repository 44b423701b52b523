//! The user service as its clients see it, on a real MongoDB-protocol server and a real Redis.

mod harness;
mod inputs;
mod limits;
mod matrix;
mod passwords;
mod registration;
mod roles;
mod sessions;
