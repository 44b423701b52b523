//! gRPC between services, without sidecars: mutual TLS, calls that find a pod that answers, deadlines that travel, one trace over
//! every hop, a limit on what a process works on at once, and faults that travel as statuses.

mod accept;
mod authorize;
mod client;
mod deadline;
mod expiry;
mod identity;
mod load;
mod measure;
mod metrics;
mod server;
mod shed;
mod status;

pub use accept::{Connection, accept};
pub use authorize::AuthorizeLayer;
pub use client::{BadAddress, Mesh, Peer, Resolve, for_caller};
pub use deadline::{DeadlineLayer, with_this_deadline, within};
pub use expiry::show_expiry;
pub use identity::{BadIdentity, Identity, ServiceId};
pub use load::{Load, Permit, Priority};
pub use measure::MeasureLayer;
pub use metrics::ServerMetrics;
pub use server::{Grpc, GrpcServer, LARGEST_MESSAGE, TraceLayer, server};
pub use shed::ShedLayer;
pub use status::{from_status, to_status};
