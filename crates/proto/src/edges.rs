//! The one table of who may call which gRPC method: servers refuse everything else, network policies follow it, and callers
//! read from it how patient they are and whether they may try again.

use std::time::Duration;

/// One allowed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The service that calls.
    pub caller: &'static str,
    /// The service that answers.
    pub service: &'static str,
    /// Path of the method, as in HTTP/2's `:path`.
    pub method: &'static str,
    /// Whether being called twice comes to the same as once: only such a call is tried again.
    pub idempotent: bool,
    /// How long the caller waits, where its Shop does not say.
    pub patience: Duration,
}

const fn edge(caller: &'static str, service: &'static str, method: &'static str) -> Edge {
    Edge { caller, service, method, idempotent: false, patience: Duration::from_secs(5) }
}

impl Edge {
    const fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }

    const fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Every call there is between services.
pub const EDGES: &[Edge] = &[
    // It only reads. A cart with last known prices now is better than one with today's in five seconds.
    edge("cart", "product", "/shop.catalog.v1.CatalogService/GetProducts")
        .idempotent()
        .patience(Duration::from_secs(1)),
    // One order id is one order, or one refusal, however often and at however many pods it is asked for.
    edge("cart", "order", "/ecommerce.orders.OrderService/CreateOrder").idempotent(),
    // It only reads.
    edge("cart", "order", "/ecommerce.orders.OrderService/GetOrderByKey").idempotent(),
    // What is closed stays closed, and an order stays an order.
    edge("cart", "order", "/ecommerce.orders.OrderService/CloseCheckout").idempotent(),
    // One order id is one reservation.
    edge("order", "product", "/shop.catalog.v1.CatalogService/ReserveStock").idempotent(),
];

/// The table's row of this call.
#[must_use]
pub fn find(caller: &str, service: &str, method: &str) -> Option<&'static Edge> {
    EDGES.iter().find(|edge| (edge.caller, edge.service, edge.method) == (caller, service, method))
}
