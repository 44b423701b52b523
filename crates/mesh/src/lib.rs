//! gRPC between services, without sidecars: mutual TLS, balanced channels that follow the pods, deadlines, one trace over
//! every hop, a limit on what a process works on at once, and faults that travel as statuses.

mod accept;
mod authorize;
mod channel;
mod identity;
mod load;
mod metrics;
mod server;
mod shed;
mod status;

pub use accept::{Connection, accept};
pub use authorize::AuthorizeLayer;
pub use channel::{Peer, connect, for_caller};
pub use identity::{BadIdentity, Identity, ServiceId};
pub use load::{Load, Permit, Priority};
pub use metrics::Refusals;
pub use server::{Grpc, GrpcServer, LARGEST_MESSAGE, TraceLayer, server};
pub use shed::ShedLayer;
pub use status::{from_status, to_status};
