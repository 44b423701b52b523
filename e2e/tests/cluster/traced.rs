//! Whatever becomes of an order, it is one trace, from the buyer's request to the last thing that follows from it.

mod flows;

use reqwest::StatusCode;
use shop_e2e::{
    purchase::{DELIVERED, Receipt, Visit},
    shop::LONDON,
    trace::{self, Span, Trace},
};

use self::flows::{Flow, Step};
use crate::{stall, visit};

/// Above this the payment provider of `examples/shop.yaml` declines.
const MORE_THAN_IS_PAID: u32 = 600;
/// Where the carrier of `examples/shop.yaml` finds nobody.
const ATLANTIS: &str = "Atlantis";

#[tokio::test]
async fn a_checkout_and_everything_that_follows_is_one_trace() {
    let visit = visit().await;
    let receipt = buy(&visit, 2, LONDON).await;
    visit.follow(&receipt, DELIVERED).await.expect("the order is delivered");
    assert_trace(&visit, &receipt.trace_id, &flows::PURCHASE).await;
}

#[tokio::test]
async fn a_payment_that_is_declined_and_the_stock_it_releases_are_in_the_checkouts_trace() {
    let visit = visit().await;
    let receipt = buy(&visit, MORE_THAN_IS_PAID, LONDON).await;
    let order = visit.follow(&receipt, "CANCELED").await.expect("the order is canceled");
    assert!(order.history.iter().all(|moved| moved.status != "PAID"), "{order:?}");
    assert_trace(&visit, &receipt.trace_id, &flows::DECLINED).await;
}

#[tokio::test]
async fn a_parcel_that_comes_back_and_its_refund_are_in_the_checkouts_trace() {
    let visit = visit().await;
    let receipt = buy(&visit, 2, ATLANTIS).await;
    let order = visit.follow(&receipt, "CANCELED").await.expect("the order is canceled");
    assert!(order.history.iter().any(|moved| moved.status == "SHIPPED"), "{order:?}");
    assert_trace(&visit, &receipt.trace_id, &flows::UNDELIVERABLE).await;
}

#[tokio::test]
async fn a_cancel_is_a_trace_of_its_own_with_all_that_it_undoes() {
    let visit = visit().await;
    let receipt = buy(&visit, 2, LONDON).await;
    let answer = visit.shop.cancel(&receipt.buyer, &receipt.checkout.order_id).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let canceled = answer.trace_id.expect("every answer carries the id of its trace");
    visit.follow(&receipt, "CANCELED").await.expect("the order is canceled");
    assert_trace(&visit, &canceled, &flows::CANCELED).await;
}

async fn buy(visit: &Visit, quantity: u32, city: &str) -> Receipt {
    let buyer = visit.sign_up().await.expect("a buyer signs up");
    visit.buy(stall(visit).await, &buyer, quantity, city).await.expect("the checkout succeeds")
}

async fn assert_trace(visit: &Visit, id: &str, flow: &Flow) {
    let whole = |trace: &Trace| flow.steps().all(|step| spans(trace, step).next().is_some());
    let trace = trace::fetch(&visit.cluster, id, |trace| whole(trace) && trace.is_connected())
        .await
        .expect("every step is in the trace of the request");

    let roots: Vec<&Span> = trace.spans.iter().filter(|span| span.cause.is_none()).collect();
    assert_eq!(roots.iter().map(|span| step_of(span)).collect::<Vec<_>>(), [flow.root], "\n{}", trace.tree());
    for (step, cause) in flow.edges() {
        let caused = spans(&trace, *step).any(|span| nearest_step(&trace, span, flow) == Some(*cause));
        assert!(caused, "{step:?} is caused by {cause:?}:\n{}", trace.tree());
    }
}

fn spans(trace: &Trace, step: Step) -> impl Iterator<Item = &Span> {
    trace.spans.iter().filter(move |span| step_of(span) == step)
}

/// The nearest cause that is one of the steps; a service may have spans of its own in between.
fn nearest_step(trace: &Trace, span: &Span, flow: &Flow) -> Option<Step> {
    trace.causes(span).find_map(|cause| flow.steps().find(|step| *step == step_of(cause)))
}

fn step_of(span: &Span) -> (&str, &str, &str) {
    (&span.service, &span.operation, &span.kind)
}
