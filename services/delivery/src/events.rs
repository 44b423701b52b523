//! Every event this service reads.

use shop_core::Fault;
use shop_messaging::{Handler, Incoming};
use shop_proto::events::{OrderCanceled, OrderPaid, ShippingAddress};
use uuid::Uuid;

use crate::{app::Deliveries, domain::Address};

impl Handler for Deliveries {
    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        if event.is::<OrderPaid>() {
            let paid: OrderPaid = event.payload()?;
            let address = paid.shipping_address.ok_or_else(|| Fault::invalid("a paid order has no address"))?;
            self.open(event, id(&paid.order_id)?, address.into()).await
        } else if event.is::<OrderCanceled>() {
            let canceled: OrderCanceled = event.payload()?;
            Ok(self.cancel(event.id, id(&canceled.order_id)?).await?)
        } else {
            Err(Fault::invalid(format!("delivery does not read {}", event.kind)))
        }
    }
}

impl From<ShippingAddress> for Address {
    fn from(address: ShippingAddress) -> Self {
        let ShippingAddress { full_name, phone, city, street } = address;
        Self { full_name, phone, city, street }
    }
}

fn id(text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::invalid(format!("`{text}` is not the id of an order")))
}
