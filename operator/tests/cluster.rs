//! The operator against a real API server, with a real kubelet and real stores.
//!
//! Every test has a namespace of its own, in which the operator runs inside the test; the operator that may be deployed on
//! the cluster watches other namespaces (`watchNamespaces` in its chart).

#[path = "cluster/canary.rs"]
mod canary;
#[path = "apiserver/chance.rs"]
mod chance;
#[path = "cluster/changes.rs"]
mod changes;
#[path = "cluster/external.rs"]
mod external;
#[path = "charts/folder.rs"]
mod folder;
#[path = "cluster/frozen.rs"]
mod frozen;
#[path = "cluster/install.rs"]
mod install;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/lifecycle.rs"]
mod lifecycle;
#[path = "cluster/logins.rs"]
mod logins;
#[path = "cluster/market.rs"]
mod market;
#[path = "cluster/packed.rs"]
mod packed;
#[path = "cluster/programs.rs"]
mod programs;
#[path = "cluster/rotation.rs"]
mod rotation;
#[path = "cluster/running.rs"]
mod running;
#[path = "cluster/scene.rs"]
mod scene;
#[path = "cluster/standby.rs"]
mod standby;
