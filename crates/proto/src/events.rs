//! Event payloads and the one table of who consumes which: publishers, queue bindings and documentation all read it.

use serde::{Serialize, de::DeserializeOwned};

pub use payload::*;

#[expect(missing_docs, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]
mod payload {
    tonic::include_proto!("shop.events.v1");
}

/// Exchange of everything that happens to an order.
pub const ORDER_EVENTS: &str = "order_events";
/// Exchange of everything that happens to the catalog.
pub const PRODUCT_EVENTS: &str = "product_events";

/// One kind of event: its payload type, name and readers.
pub trait Event: Serialize + DeserializeOwned + Default + Send + Sync {
    /// The row of the table that describes this kind.
    const ROUTE: Route;
}

/// Where an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Topic exchange.
    pub exchange: &'static str,
    /// Routing key, also the CloudEvents type.
    pub key: &'static str,
    /// Services that have a queue bound to it.
    pub consumers: &'static [&'static str],
}

impl Route {
    /// Whether a message nobody has a queue for is a fault: the relay then keeps it and tries again.
    #[must_use]
    pub const fn mandatory(&self) -> bool {
        !self.consumers.is_empty()
    }
}

macro_rules! events {
    ($($exchange:ident { $($key:literal => $payload:ident -> [$($consumer:literal),*];)+ })+) => {
        $($(impl Event for $payload {
            const ROUTE: Route = Route { exchange: $exchange, key: $key, consumers: &[$($consumer),*] };
        })+)+

        /// Every kind of event there is.
        pub const ROUTES: &[Route] = &[$($($payload::ROUTE),+),+];
    };
}

events! {
    ORDER_EVENTS {
        "order.created" => OrderCreated -> ["payment"];
        "order.paid" => OrderPaid -> ["product", "delivery"];
        "order.canceled" => OrderCanceled -> ["product", "payment", "delivery"];
        "order.shipped" => OrderShipped -> [];
        "order.delivered" => OrderDelivered -> [];
        "payment.pending" => PaymentPending -> ["order"];
        "payment.succeeded" => PaymentSucceeded -> ["order"];
        "payment.failed" => PaymentFailed -> ["order"];
        "payment.refunded" => PaymentRefunded -> ["order"];
        "delivery.shipped" => DeliveryShipped -> ["order"];
        "delivery.delivered" => DeliveryDelivered -> ["order"];
        "delivery.failed" => DeliveryFailed -> ["order"];
        "inventory.rejected" => InventoryRejected -> ["order"];
    }
    PRODUCT_EVENTS {
        "inventory.changed" => InventoryChanged -> ["cart"];
        "product.created" => ProductCreated -> ["cart"];
        "product.updated" => ProductUpdated -> ["cart"];
        "product.deleted" => ProductDeleted -> ["cart"];
        "product.status_changed" => ProductStatusChanged -> ["cart"];
    }
}

/// The events `service` has a queue for.
pub fn consumed_by(service: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.consumers.contains(&service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_the_last_version_understands_a_payload_with_a_new_field_and_without_an_old_one() {
        let newer = r#"{"orderId":"a","totalMinor":1999,"giftWrap":true}"#;
        let read: OrderPaid = serde_json::from_str(newer).unwrap();
        assert_eq!((read.order_id.as_str(), read.total_minor, read.currency.as_str()), ("a", 1999, ""));
    }

    #[test]
    fn no_service_consumes_what_it_publishes() {
        for route in ROUTES {
            let publisher = match route.key.split('.').next() {
                Some("inventory") => "product",
                Some(first) => first,
                None => unreachable!("a key has at least one part"),
            };
            assert!(!route.consumers.contains(&publisher), "{} is read by its own publisher", route.key);
        }
    }
}
