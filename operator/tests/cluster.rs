//! The operator against a real API server, with a real kubelet and real stores.
//!
//! Every test has a namespace of its own, in which the operator runs inside the test; the operator that may be deployed on
//! the cluster watches other namespaces (`watchNamespaces` in its chart).

#[path = "cluster/install.rs"]
mod install;
#[path = "cluster/lifecycle.rs"]
mod lifecycle;
#[path = "cluster/scene.rs"]
mod scene;
