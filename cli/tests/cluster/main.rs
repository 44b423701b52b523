//! The plugin as people use it: its output, its exit codes and what it leaves on a cluster.
//!
//! What only looks is tried on the Shop that `cargo xtask test` names in the environment. What writes is tried on a Shop of a
//! namespace that no operator watches.

mod dead_letters;
#[path = "../did/mod.rs"]
mod did;
mod lifecycle;
mod looking;
mod plans;
mod reports;
mod rights;
mod scene;
