//! What this service hears from its neighbours, on one screen.

use std::sync::Arc;

use shop_core::Fault;
use shop_messaging::{Handler, Incoming};
use shop_proto::events::{
    DeliveryDelivered, DeliveryFailed, DeliveryShipped, InventoryRejected, InventoryUnclaimed, PaymentFailed,
    PaymentPending, PaymentRefunded, PaymentSucceeded,
};
use uuid::Uuid;

use crate::{
    app::Orders,
    domain::{Event, Order},
};

/// The consumer's handler.
pub struct Events(pub Arc<Orders>);

/// Something a neighbour says happened to an order.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The message's id, the same for every copy.
    pub id: Uuid,
    /// The order it is about.
    pub order: Uuid,
    /// What happened.
    pub event: Event,
    /// What was paid, when something was: minor units and currency.
    captured: Option<(i64, String)>,
}

impl Handler for Events {
    async fn handle(&self, incoming: &Incoming) -> Result<(), Fault> {
        if incoming.is::<InventoryUnclaimed>() {
            let InventoryUnclaimed { order_id, user_id } = incoming.payload()?;
            let (user, order) = (id(incoming, "user", &user_id)?, id(incoming, "order", &order_id)?);
            return Ok(self.0.answer_for(incoming.id, user, order).await?);
        }
        match read(incoming)? {
            Some(notice) => Ok(self.0.hear(&notice).await?),
            None => Ok(()),
        }
    }
}

/// The state machine's event behind a message; `None` for a kind this version does not read, left by an older one's binding.
fn read(incoming: &Incoming) -> Result<Option<Notice>, Fault> {
    let mut captured = None;
    let (order, event) = if incoming.is::<PaymentPending>() {
        (incoming.payload::<PaymentPending>()?.order_id, Event::PaymentPending)
    } else if incoming.is::<PaymentSucceeded>() {
        let paid = incoming.payload::<PaymentSucceeded>()?;
        captured = Some((paid.amount_minor, paid.currency));
        (paid.order_id, Event::PaymentSucceeded)
    } else if incoming.is::<PaymentFailed>() {
        (incoming.payload::<PaymentFailed>()?.order_id, Event::PaymentFailed)
    } else if incoming.is::<PaymentRefunded>() {
        (incoming.payload::<PaymentRefunded>()?.order_id, Event::PaymentRefunded)
    } else if incoming.is::<DeliveryShipped>() {
        (incoming.payload::<DeliveryShipped>()?.order_id, Event::DeliveryShipped)
    } else if incoming.is::<DeliveryDelivered>() {
        (incoming.payload::<DeliveryDelivered>()?.order_id, Event::DeliveryDelivered)
    } else if incoming.is::<DeliveryFailed>() {
        (incoming.payload::<DeliveryFailed>()?.order_id, Event::DeliveryFailed)
    } else if incoming.is::<InventoryRejected>() {
        (incoming.payload::<InventoryRejected>()?.order_id, Event::InventoryRejected)
    } else {
        tracing::warn!(event.kind = incoming.kind, "an event this version does not read was dropped");
        return Ok(None);
    };
    Ok(Some(Notice { id: incoming.id, order: id(incoming, "order", &order)?, event, captured }))
}

fn id(incoming: &Incoming, of: &str, text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text)
        .map_err(|_| Fault::invalid(format!("{} names no {of}", incoming.kind)).caused_by(format!("{of} id `{text}`")))
}

impl Notice {
    /// Every notice follows an event that was committed together with its order, so an order that is not there never will
    /// be. The message may tell of money, so it is parked for people and not dropped.
    #[must_use]
    pub fn about_nothing(&self) -> Fault {
        Fault::invalid(format!("{} is about an order that does not exist", self.event.as_str()))
            .caused_by(format!("order id {}", self.order))
    }

    /// An order is not paid by another amount. The message is parked, and the order expires, which refunds.
    pub fn check_amount(&self, order: &Order) -> Result<(), Fault> {
        match &self.captured {
            Some((minor, currency)) if (*minor, currency.as_str()) != (order.total_minor, order.currency.code()) => {
                Err(Fault::invalid("payment.succeeded is for another amount than the order's").caused_by(format!(
                    "order {} costs {} {}, captured {minor} {currency}",
                    order.id, order.total_minor, order.currency
                )))
            }
            Some(_) | None => Ok(()),
        }
    }
}
