//! Every event this service reads.

use jiff::Timestamp;
use shop_core::{Fault, Money};
use shop_messaging::{Handler, Incoming};
use shop_proto::events::{OrderCanceled, OrderCreated};
use uuid::Uuid;

use crate::app::{Due, Payments};

impl Handler for Payments {
    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        if event.is::<OrderCreated>() {
            let created: OrderCreated = event.payload()?;
            let due = Due {
                order_id: id(&created.order_id)?,
                amount: self.amount(&created)?,
                expires_at: expiry(&created.expires_at)?,
            };
            self.open(event, due).await
        } else if event.is::<OrderCanceled>() {
            let canceled: OrderCanceled = event.payload()?;
            Ok(self.cancel(event.id, id(&canceled.order_id)?).await?)
        } else {
            Err(Fault::invalid(format!("payment does not read {}", event.kind)))
        }
    }
}

impl Payments {
    fn amount(&self, created: &OrderCreated) -> Result<Money, Fault> {
        if created.total_minor < 0 || created.currency != self.currency.code() {
            let total = format!("{} {}", created.total_minor, created.currency);
            return Err(Fault::invalid(format!("a total of {total} cannot be paid in {}", self.currency)));
        }
        Ok(Money(created.total_minor))
    }
}

fn id(text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::invalid(format!("`{text}` is not the id of an order")))
}

fn expiry(text: &str) -> Result<Option<Timestamp>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::invalid(format!("`{text}` is not a time")))
}
