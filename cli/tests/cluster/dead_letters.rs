//! A dead letter: made, looked at, sent back, and in the trace of the order it tells of.

use std::{
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use shop_e2e::{
    Seen, Target,
    purchase::{Receipt, Visit},
    trace::{self, Span, Trace},
    wait_for,
};
use uuid::Uuid;

use crate::scene::{run, target};

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_dead_letter_and_its_replay_are_in_the_trace_of_the_order_they_tell_of() {
    let target = target();
    let visit = Visit::to(target.clone(), |step| eprintln!("{step}")).await.expect("the cluster can be reached");
    let (receipt, _) = visit.purchase().await.expect("a purchase");
    let bought = fetch(&visit, &receipt.trace_id, 1).await;
    let root = bought.spans.iter().find(|span| span.cause.is_none()).expect("the checkout");

    let nonsense = Nonsense::tell_order(&target, &receipt, &root.id);
    let event = &*nonsense.event;
    let parked = dead_letter(&target, event, 0).await;
    let sent_back = run(&target.namespace, &["dlq", "replay", "order", event, "--shop", &target.shop]);
    let parked_again = dead_letter(&target, event, 1).await;
    let shown = run(&target.namespace, &["dlq", "show", "order", event, "--shop", &target.shop, "-o", "yaml"]);
    let all_sent_back =
        run(&target.namespace, &["dlq", "replay", "order", "--all", "--shop", &target.shop, "-o", "json"]);
    let parked_a_third_time = dead_letter(&target, event, 2).await;
    let trace = fetch(&visit, &receipt.trace_id, 4).await;

    sent_back.check(0, "1 back to order");
    assert_eq!(shown.yaml(), parked_again);
    let replayed = &all_sent_back.json()["replayed"];
    assert!(replayed.as_array().is_some_and(|ids| ids.contains(&Value::from(event))), "{replayed}");
    for letter in [parked, parked_again, parked_a_third_time] {
        assert_eq!(letter["traceId"], receipt.trace_id);
        assert_eq!(letter["type"], "payment.succeeded");
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("payment.succeeded is for another amount than the order's"), "{letter}");
    }
    for span in handled(&trace) {
        let cause = trace.causes(span).next().map(|cause| (&*cause.service, &*cause.operation));
        assert_eq!(cause, Some(("payment", "publish payment.succeeded")), "\n{}", trace.tree());
    }
}

/// An event that order does not take, as long as the value lives.
struct Nonsense<'a> {
    target: &'a Target,
    event: String,
}

impl<'a> Nonsense<'a> {
    /// Has payment publish an event that belongs to the trace of a checkout, and tells of another amount than the order's.
    fn tell_order(target: &'a Target, receipt: &Receipt, span: &str) -> Self {
        let (event, trace, order) = (Uuid::new_v4().to_string(), &receipt.trace_id, &receipt.checkout.order_id);
        let payload = json!({"orderId": order, "paymentId": event, "amountMinor": 1, "currency": "XXX"});
        let sql = format!(
            "INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at)
             VALUES ('{event}', 'order_events', 'payment.succeeded', true, '{payload}',
                     '{{\"traceparent\": \"00-{trace}-{span}-01\"}}', now(), now())"
        );
        let nonsense = Self { target, event };
        let told = in_database(target, "payment", &sql);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        nonsense
    }
}

impl Drop for Nonsense<'_> {
    /// Order drops what it has handled before: it is told that it has handled this one, which then comes by once more. Dead
    /// letters of others stay.
    fn drop(&mut self) {
        let Self { target, event } = &*self;
        let handled = format!("INSERT INTO inbox (event_id, handled_at) VALUES ('{event}', now())");
        let told = in_database(target, "order", &handled);
        let sent_back = run(&target.namespace, &["dlq", "replay", "order", event, "--shop", &target.shop]);
        // A second panic would hide the first one.
        if !thread::panicking() {
            assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
            sent_back.check(0, "1 back to order");
        }
    }
}

/// The dead letter of `order` with this id, as soon as it was replayed so often.
async fn dead_letter(target: &Target, event: &str, replays: u32) -> Value {
    wait_for("the dead letter", PATIENCE, async || {
        let did = run(&target.namespace, &["dlq", "show", "order", event, "--shop", &target.shop, "-o", "json"]);
        if did.code != 0 {
            return Ok(Seen::NotYet(did.err));
        }
        let letter = did.json();
        Ok(if letter["replays"] == replays { Seen::Done(letter) } else { Seen::NotYet(did.out) })
    })
    .await
    .expect("order parks what it does not take")
}

/// The trace, as soon as order has handled so many successes of its payment.
async fn fetch(visit: &Visit, id: &str, times: usize) -> Trace {
    let whole = |trace: &Trace| handled(trace).count() >= times && trace.is_connected();
    trace::fetch(&visit.cluster, id, whole).await.expect("the trace")
}

fn handled(trace: &Trace) -> impl Iterator<Item = &Span> {
    trace.spans.iter().filter(|span| span.service == "order" && span.operation == "process payment.succeeded")
}

fn in_database(target: &Target, database: &str, sql: &str) -> Output {
    let pod = format!("{}-postgres-0", target.shop);
    let mut exec = Command::new("kubectl");
    exec.args(["exec", "--namespace", &target.namespace, &pod, "--"]);
    exec.args(["psql", "--username=postgres", "--dbname", database, "--command", sql]);
    exec.output().expect("kubectl is on the PATH")
}
