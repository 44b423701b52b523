//! Events between services, such that none is lost and none counts twice.
//!
//! A use case writes its change and its events in one transaction ([`Outbox`]); the [`relay`] publishes them and marks a row
//! sent only when the broker confirmed it and had a queue for it; a [`consume`]r acknowledges only after its own commit,
//! drops duplicates by event id ([`inbox`]), tries again later through retry queues, and parks what cannot be handled.

mod broker;
mod consumer;
pub mod dead_letters;
mod event;
pub mod inbox;
mod outbox;
mod relay;
mod rows;
pub mod topology;

use std::borrow::Cow;

use sqlx::migrate::{Migration, Migrator};

pub use broker::{BrokerError, Way};
pub use consumer::{Consumer, Handler, consume};
pub use event::{FORGET_AFTER, Incoming};
pub use outbox::{Outbox, Outgoing};
pub use relay::relay;
pub use topology::declare;

/// This crate's tables, followed by a service's own migrations. Versions below 1000 are ours.
#[must_use]
pub fn migrations_with(service: &Migrator) -> Migrator {
    let ours = sqlx::migrate!("./migrations");
    let all: Vec<Migration> = ours.iter().chain(service.iter()).cloned().collect();
    Migrator { migrations: Cow::Owned(all), ..Migrator::DEFAULT }
}
