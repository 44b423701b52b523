//! gRPC between services, without sidecars: balanced channels that follow the pods, deadlines, one trace over every hop,
//! a limit on what a process works on at once, and faults that travel as statuses.

mod channel;
mod load;
mod server;
mod shed;
mod status;

pub use channel::{Peer, connect, for_caller};
pub use load::{Load, Permit, Priority};
pub use server::{Grpc, GrpcServer, LARGEST_MESSAGE, TraceLayer, server};
pub use shed::ShedLayer;
pub use status::{from_status, to_status};
