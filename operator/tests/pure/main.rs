//! Tests of the pure steps: no cluster, no clock, no randomness.

mod canary;
mod chart;
mod generated;
mod mesh;
mod plan;
mod reach;
mod rollback;
mod rollout;
mod rotation;
mod route;
mod scaling;
mod status;
mod stores;
mod stuck;
mod support;
mod validate;
mod waking;
