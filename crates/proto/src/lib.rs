//! The wire contract: gRPC services and event payloads generated from `/proto`. No logic lives here.

pub mod edges;
pub mod events;

/// `ecommerce.orders`: the order service, with the original system's field numbers.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod orders {
    tonic::include_proto!("ecommerce.orders");
}

/// `shop.catalog.v1`: prices, availability and reservations.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod catalog {
    tonic::include_proto!("shop.catalog.v1");
}
