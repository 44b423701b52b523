//! The operator against a real API server and etcd, with the controllers of Kubernetes and pods that only claim to run.
//!
//! All tests share one API server, which they start themselves; every test has a namespace of its own. The one in `everywhere`, about
//! all namespaces, has an API server of its own.

mod canary;
mod chance;
mod convergence;
mod deletion;
mod drift;
mod everywhere;
mod faults;
mod fields;
mod given;
mod leadership;
mod lifecycle;
mod operated;
mod plans;
mod program;
mod refusals;
mod rollback;
mod rotation;
mod scene;
mod snapshot;
mod steady;
mod stuck;
mod waking;
mod zombie;
