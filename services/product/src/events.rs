//! What happens to orders, and what it does to their reservations.

use std::sync::Arc;

use shop_core::Fault;
use shop_messaging::{Handler, Incoming};
use shop_proto::events::{OrderCanceled, OrderPaid};
use uuid::Uuid;

use crate::app::{Catalog, OrderEvent};

/// Handles the events of orders.
pub struct OrderEvents(pub Arc<Catalog>);

impl Handler for OrderEvents {
    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        let (order, happened) = if event.is::<OrderPaid>() {
            (event.payload::<OrderPaid>()?.order_id, OrderEvent::Paid)
        } else if event.is::<OrderCanceled>() {
            (event.payload::<OrderCanceled>()?.order_id, OrderEvent::Canceled)
        } else {
            // A binding of an older version may still deliver what this one no longer reads.
            return Ok(());
        };
        let order = Uuid::parse_str(&order)
            .map_err(|error| Fault::invalid(format!("{} names no order", event.kind)).caused_by(error))?;
        Ok(self.0.settle(event.id, order, happened).await?)
    }
}
