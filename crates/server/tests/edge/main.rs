//! The edge of a service as its clients meet it, friendly and hostile ones: over real sockets, with a service of a few routes.

mod document;
mod exemplars;
mod grpc;
mod harness;
mod hostile;
mod leftover;
mod overload;
mod parsers;
mod slow;
