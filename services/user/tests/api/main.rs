//! The user service as its clients see it, on a real MongoDB-protocol server and a real Redis.

mod harness;
mod inputs;
mod keys;
mod limits;
mod logins;
mod mails;
mod matrix;
mod oracles;
mod outages;
mod passwords;
mod registration;
mod roles;
mod sessions;
mod sweeping;
