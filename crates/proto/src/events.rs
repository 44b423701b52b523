//! Event payloads and the one table of who consumes which: publishers, queue bindings and documentation all read it.

use serde::{Serialize, de::DeserializeOwned};
#[cfg(test)]
use serde_json::Value;

pub use payload::*;

#[expect(missing_docs, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]
mod payload {
    tonic::include_proto!("shop.events.v1");
}

/// Exchange of everything that happens to an order.
pub const ORDER_EVENTS: &str = "order_events";
/// Exchange of everything that happens to the catalog.
pub const PRODUCT_EVENTS: &str = "product_events";

/// What the payloads are written in: their major version, on every message as the CloudEvents attribute `dataschema`. Within
/// it fields are only ever added; a payload that means something else is of the next one.
pub const SCHEMA: &str = "urn:shopkeeper:events:v1";

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

        /// Reads a payload of each kind and writes it again.
        #[cfg(test)]
        const READERS: &[(&str, fn(Value) -> serde_json::Result<Value>)] =
            &[$($(($key, |json| serde_json::to_value(serde_json::from_value::<$payload>(json)?))),+),+];
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
        "inventory.unclaimed" => InventoryUnclaimed -> ["order"];
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

    /// The payload of a kind as the first release wrote it.
    fn recorded(key: &str) -> Value {
        let path = format!("{}/recorded/v1/{key}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_payload_of_the_first_release_is_read_to_its_last_field() {
        for (key, read) in READERS {
            let (payload, then) = (read(recorded(key)).unwrap(), recorded(key));
            for (field, value) in then.as_object().unwrap() {
                assert_eq!(&payload[field], value, "{key}: {field}");
            }
        }
    }

    #[test]
    fn a_field_of_a_later_release_is_passed_over_and_one_of_an_earlier_release_may_be_missing() {
        for (key, read) in READERS {
            let mut newer = recorded(key);
            newer["giftWrap"] = serde_json::json!({"paper": "red"});
            assert_eq!(read(newer).unwrap(), read(recorded(key)).unwrap(), "{key}");
            read(serde_json::json!({})).unwrap();
        }
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
