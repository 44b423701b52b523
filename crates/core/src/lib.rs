//! What every part of the shop speaks: faults, money, time and identity. No IO and no framework lives here.

pub mod fault;
pub mod idempotency;
pub mod money;
pub mod rules;
pub mod world;

pub use fault::{Fault, FieldError, Kind};
pub use idempotency::RequestKey;
pub use money::{Currency, Money};
pub use rules::Rules;
pub use world::{SystemWorld, World};
