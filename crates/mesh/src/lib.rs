//! gRPC between services, without sidecars: balanced channels that follow the pods, deadlines, one trace over every hop,
//! and faults that travel as statuses.

mod channel;
mod server;
mod status;

pub use channel::{Peer, connect, for_caller};
pub use server::{GrpcServer, TraceLayer, server};
pub use status::{from_status, to_status};
