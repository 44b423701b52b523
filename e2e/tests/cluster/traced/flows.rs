//! What an order leaves in its trace, step by step, each with the step that caused it.

/// Service, operation and kind of a span.
pub type Step = (&'static str, &'static str, &'static str);
type Edge = (Step, Step);

/// One thing that can become of an order.
pub struct Flow {
    /// The request that all of it follows from.
    pub root: Step,
    parts: &'static [&'static [Edge]],
}

impl Flow {
    /// Every step with its cause.
    pub fn edges(&self) -> impl Iterator<Item = &'static Edge> {
        self.parts.iter().copied().flatten()
    }

    /// Every step.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        std::iter::once(self.root).chain(self.edges().map(|(step, _)| *step))
    }
}

/// Paid, shipped, delivered.
pub const PURCHASE: Flow = Flow { root: CHECKOUT, parts: &[ORDERED, PAID, SHIPPED, DELIVERED] };
/// The money is refused: the stock is released, and there is nothing to ship.
pub const DECLINED: Flow = Flow { root: CHECKOUT, parts: &[ORDERED, REFUSED] };
/// The parcel comes back: the money does too, and the stock is put back.
pub const UNDELIVERABLE: Flow = Flow { root: CHECKOUT, parts: &[ORDERED, PAID, SHIPPED, RETURNED] };
/// The buyer changes their mind before the payment is through.
pub const CANCELED: Flow = Flow { root: CANCEL, parts: &[UNDONE] };

const CHECKOUT: Step = ("cart", "POST /api/v1/cart/checkout", "server");
const CANCEL: Step = ("order", "POST /api/v1/orders/{id}/cancel", "server");
const CREATE: &str = "ecommerce.orders.OrderService/CreateOrder";
const RESERVE: &str = "shop.catalog.v1.CatalogService/ReserveStock";

const ORDER_CREATED: Step = ("order", "publish order.created", "producer");
const OPENED: Step = ("payment", "process order.created", "consumer");
const CAPTURE: Step = ("payment", "capture payment", "internal");
const SUCCEEDED: Step = ("payment", "publish payment.succeeded", "producer");
const KNOWS_PAID: Step = ("order", "process payment.succeeded", "consumer");
const ORDER_PAID: Step = ("order", "publish order.paid", "producer");
const TO_SHIP: Step = ("delivery", "process order.paid", "consumer");
const SHIP: Step = ("delivery", "ship parcel", "internal");
const DELIVER: Step = ("delivery", "deliver parcel", "internal");
const FAILED: Step = ("payment", "publish payment.failed", "producer");
const KNOWS_FAILED: Step = ("order", "process payment.failed", "consumer");
const COMES_BACK: Step = ("delivery", "publish delivery.failed", "producer");
const KNOWS_BACK: Step = ("order", "process delivery.failed", "consumer");
const ORDER_CANCELED: Step = ("order", "publish order.canceled", "producer");
const TO_REFUND: Step = ("payment", "process order.canceled", "consumer");
const REFUND: Step = ("payment", "refund payment", "internal");
const REFUNDED: Step = ("payment", "publish payment.refunded", "producer");

const ORDERED: &[Edge] = &[
    (("cart", CREATE, "client"), CHECKOUT),
    (("order", CREATE, "server"), ("cart", CREATE, "client")),
    (("order", RESERVE, "client"), ("order", CREATE, "server")),
    (("product", RESERVE, "server"), ("order", RESERVE, "client")),
    (ORDER_CREATED, ("order", CREATE, "server")),
    (OPENED, ORDER_CREATED),
    (CAPTURE, OPENED),
];

const PAID: &[Edge] = &[
    (SUCCEEDED, CAPTURE),
    (KNOWS_PAID, SUCCEEDED),
    (ORDER_PAID, KNOWS_PAID),
    (("product", "process order.paid", "consumer"), ORDER_PAID),
    (TO_SHIP, ORDER_PAID),
];

const SHIPPED: &[Edge] = &[
    (SHIP, TO_SHIP),
    (("delivery", "publish delivery.shipped", "producer"), SHIP),
    (("order", "process delivery.shipped", "consumer"), ("delivery", "publish delivery.shipped", "producer")),
    (DELIVER, TO_SHIP),
];

const DELIVERED: &[Edge] = &[
    (("delivery", "publish delivery.delivered", "producer"), DELIVER),
    (("order", "process delivery.delivered", "consumer"), ("delivery", "publish delivery.delivered", "producer")),
];

const REFUSED: &[Edge] = &[
    (FAILED, CAPTURE),
    (KNOWS_FAILED, FAILED),
    (ORDER_CANCELED, KNOWS_FAILED),
    (("product", "process order.canceled", "consumer"), ORDER_CANCELED),
    (("delivery", "process order.canceled", "consumer"), ORDER_CANCELED),
];

const RETURNED: &[Edge] = &[
    (COMES_BACK, DELIVER),
    (KNOWS_BACK, COMES_BACK),
    (ORDER_CANCELED, KNOWS_BACK),
    (("product", "process order.canceled", "consumer"), ORDER_CANCELED),
    (TO_REFUND, ORDER_CANCELED),
    (REFUND, TO_REFUND),
    (REFUNDED, REFUND),
    (("order", "process payment.refunded", "consumer"), REFUNDED),
];

const UNDONE: &[Edge] = &[
    (ORDER_CANCELED, CANCEL),
    (("product", "process order.canceled", "consumer"), ORDER_CANCELED),
    (("delivery", "process order.canceled", "consumer"), ORDER_CANCELED),
    (TO_REFUND, ORDER_CANCELED),
];
