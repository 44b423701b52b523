//! The one table of who may call which gRPC method: servers refuse everything else, and network policies follow it.

/// One allowed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The service that calls.
    pub caller: &'static str,
    /// The service that answers.
    pub service: &'static str,
    /// Path of the method, as in HTTP/2's `:path`.
    pub method: &'static str,
}

const fn edge(caller: &'static str, service: &'static str, method: &'static str) -> Edge {
    Edge { caller, service, method }
}

/// Every call there is between services.
pub const EDGES: &[Edge] = &[
    edge("cart", "product", "/shop.catalog.v1.CatalogService/GetProducts"),
    edge("cart", "order", "/ecommerce.orders.OrderService/CreateOrder"),
    edge("cart", "order", "/ecommerce.orders.OrderService/GetOrderStatus"),
    edge("cart", "order", "/ecommerce.orders.OrderService/GetOrderByKey"),
    edge("order", "product", "/shop.catalog.v1.CatalogService/ReserveStock"),
];

/// Whether the table has this call.
#[must_use]
pub fn allowed(caller: &str, service: &str, method: &str) -> bool {
    EDGES.iter().any(|edge| (edge.caller, edge.service, edge.method) == (caller, service, method))
}
