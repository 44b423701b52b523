//! One checkout is one trace, from the buyer's request to the door.

use shop_e2e::trace::{self, Span, Trace};

use crate::{stall, visit};

/// Service, operation and kind of a span.
type Step = (&'static str, &'static str, &'static str);

const CHECKOUT: Step = ("cart", "POST /api/v1/cart/checkout", "server");
const CREATE_ORDER: &str = "ecommerce.orders.OrderService/CreateOrder";
const RESERVE_STOCK: &str = "shop.catalog.v1.CatalogService/ReserveStock";

/// Every step with the step that caused it. A service may have spans of its own in between.
const STEPS: &[(Step, Step)] = &[
    (("cart", CREATE_ORDER, "client"), CHECKOUT),
    (("order", CREATE_ORDER, "server"), ("cart", CREATE_ORDER, "client")),
    (("order", RESERVE_STOCK, "client"), ("order", CREATE_ORDER, "server")),
    (("product", RESERVE_STOCK, "server"), ("order", RESERVE_STOCK, "client")),
    (("order", "publish order.created", "producer"), ("order", CREATE_ORDER, "server")),
    (("payment", "process order.created", "consumer"), ("order", "publish order.created", "producer")),
    (("payment", "capture payment", "internal"), ("payment", "process order.created", "consumer")),
    (("payment", "publish payment.succeeded", "producer"), ("payment", "capture payment", "internal")),
    (("order", "process payment.succeeded", "consumer"), ("payment", "publish payment.succeeded", "producer")),
    (("order", "publish order.paid", "producer"), ("order", "process payment.succeeded", "consumer")),
    (("product", "process order.paid", "consumer"), ("order", "publish order.paid", "producer")),
    (("delivery", "process order.paid", "consumer"), ("order", "publish order.paid", "producer")),
    (("delivery", "ship parcel", "internal"), ("delivery", "process order.paid", "consumer")),
    (("delivery", "publish delivery.shipped", "producer"), ("delivery", "ship parcel", "internal")),
    (("order", "process delivery.shipped", "consumer"), ("delivery", "publish delivery.shipped", "producer")),
    (("delivery", "deliver parcel", "internal"), ("delivery", "process order.paid", "consumer")),
    (("delivery", "publish delivery.delivered", "producer"), ("delivery", "deliver parcel", "internal")),
    (("order", "process delivery.delivered", "consumer"), ("delivery", "publish delivery.delivered", "producer")),
];

#[tokio::test]
async fn a_checkout_and_everything_that_follows_is_one_trace() {
    let visit = visit().await;
    let buyer = visit.sign_up().await.expect("a buyer signs up");
    let receipt = visit.buy(stall(&visit).await, &buyer).await.expect("the checkout succeeds");
    visit.follow(&receipt).await.expect("the order is delivered");

    let whole = |trace: &Trace| STEPS.iter().all(|(step, _)| spans(trace, *step).next().is_some());
    let trace = trace::fetch(&visit.cluster, &receipt.trace_id, |trace| whole(trace) && trace.is_connected())
        .await
        .expect("every step of the order is in the checkout's trace");

    let roots: Vec<&Span> = trace.spans.iter().filter(|span| span.cause.is_none()).collect();
    assert_eq!(roots.iter().map(|span| step_of(span)).collect::<Vec<_>>(), [CHECKOUT], "\n{}", trace.tree());
    for (step, cause) in STEPS {
        let caused = spans(&trace, *step).any(|span| nearest_step(&trace, span) == Some(*cause));
        assert!(caused, "{step:?} is caused by {cause:?}:\n{}", trace.tree());
    }
}

fn spans(trace: &Trace, step: Step) -> impl Iterator<Item = &Span> {
    trace.spans.iter().filter(move |span| step_of(span) == step)
}

/// The nearest cause that is one of the steps.
fn nearest_step(trace: &Trace, span: &Span) -> Option<Step> {
    let steps = || STEPS.iter().map(|(step, _)| *step).chain([CHECKOUT]);
    trace.causes(span).find_map(|cause| steps().find(|step| *step == step_of(cause)))
}

fn step_of(span: &Span) -> (&str, &str, &str) {
    (&span.service, &span.operation, &span.kind)
}
