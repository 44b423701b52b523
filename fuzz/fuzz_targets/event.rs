//! Messages from the broker: CloudEvents attributes as headers, and payloads of every kind.
#![no_main]

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use libfuzzer_sys::fuzz_target;
use shop_core::Kind;
use shop_messaging::Incoming;
use shop_proto::events::{
    DeliveryDelivered, DeliveryFailed, DeliveryShipped, Event, InventoryChanged, InventoryRejected, InventoryUnclaimed,
    OrderCanceled, OrderCreated, OrderDelivered, OrderPaid, OrderShipped, PaymentFailed, PaymentPending,
    PaymentRefunded, PaymentSucceeded, ProductCreated, ProductDeleted, ProductStatusChanged, ProductUpdated,
};

fn reads<E: Event>(event: &Incoming) {
    if let Err(fault) = event.payload::<E>() {
        assert_eq!(fault.kind(), Kind::Invalid, "anything else would be tried again for ever");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((lines, payload)) = shop_fuzz::lines(input) else { return };
    let mut headers = FieldTable::default();
    for (name, value) in lines.into_iter().filter(|(name, _)| name.len() < 256) {
        headers.insert(ShortString::from(name), AMQPValue::LongString(LongString::from(value)));
    }
    let properties = BasicProperties::default().with_headers(headers);
    let event = match Incoming::read(&properties, payload.to_vec()) {
        Ok(event) => event,
        Err(fault) => return assert_eq!(fault.kind(), Kind::Invalid),
    };
    for read in [
        reads::<OrderCreated>,
        reads::<OrderPaid>,
        reads::<OrderCanceled>,
        reads::<OrderShipped>,
        reads::<OrderDelivered>,
        reads::<PaymentPending>,
        reads::<PaymentSucceeded>,
        reads::<PaymentFailed>,
        reads::<PaymentRefunded>,
        reads::<DeliveryShipped>,
        reads::<DeliveryDelivered>,
        reads::<DeliveryFailed>,
        reads::<InventoryRejected>,
        reads::<InventoryUnclaimed>,
        reads::<InventoryChanged>,
        reads::<ProductCreated>,
        reads::<ProductUpdated>,
        reads::<ProductDeleted>,
        reads::<ProductStatusChanged>,
    ] {
        read(&event);
    }
});
