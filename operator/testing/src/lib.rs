//! What tests and figures of the operator share: a real API server, pods that claim to run, the requests that were sent,
//! the fields of a Shop, and scenes: a namespace with a Shop and an operator in it.
#![expect(clippy::missing_panics_doc, reason = "a test panics when it fails")]

mod api_server;
mod audit;
mod kubelet;
mod lease;
pub mod rights;
pub mod rotation;
mod scene;
pub mod schema;
mod supervisor;
mod writes;

pub use api_server::ApiServer;
pub use audit::Audit;
pub use kubelet::Kubelet;
pub use lease::unrenewed;
pub use scene::{Operator, SHOP, Scene, message};
pub use writes::Writes;

/// Whether tests have time for everything.
#[must_use]
pub fn is_deep() -> bool {
    std::env::var_os("SHOP_TEST_DEEP").is_some()
}
