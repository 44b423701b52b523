//! The edge of every service. A service is a [`Service`]: a name, a configuration, and an [`Edge`] built from them; this
//! crate gives it a `main`, HTTP and gRPC servers, probes, metrics, traces, problem documents and a graceful end.

pub mod health;
pub mod host;
pub mod http;
pub mod limits;
mod reach;
mod run;

pub use health::Health;
pub use host::Host;
pub use limits::Limits;
pub use reach::reach;
pub use run::{Addresses, Edge, Service, main, start};

/// musl's allocator takes one lock for everything; this one does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
