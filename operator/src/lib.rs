//! The operator: from one `Shop` to everything that makes it run.
//!
//! A reconcile is a pipeline, and the modules are its steps in reading order:
//!
//! ```text
//! Shop -> observe (IO) -> retention, credentials (IO), identities, stores -> validate -> canary, rollback, build -> rollout -> apply (IO) -> status -> write (IO)
//! ```
//!
//! `plan` goes the same way without the steps that write, for people who want to know before.
//!
//! Steps without "(IO)" are pure, which is why `shopkeeper-operator render` can print every object without a cluster and
//! why the golden files in `tests/golden` cover all of them. Deliberately absent: waiting, finalizers, and caches of
//! child objects. "Not ready yet" is a condition in the status, and a watch brings the operator back.

pub mod catalog;
pub mod crd;
pub mod kinds;
pub mod names;
pub mod settings;

pub mod apply;
pub mod build;
pub mod canary;
pub mod controller;
pub mod credentials;
pub mod given;
pub mod identities;
pub mod keys;
pub mod objects;
pub mod observe;
pub mod plan;
pub mod quantity;
pub mod retention;
pub mod rollback;
pub mod rollout;
pub mod rotation;
pub mod scaling;
pub mod scrape;
pub mod status;
pub mod stores;
pub mod validate;

pub mod check;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod render;
