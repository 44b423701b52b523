//! A dead letter: made, looked at, sent back, and in the trace of the order it tells of.

use std::{process::Command, time::Duration};

use serde_json::Value;
use shop_e2e::{
    Seen, Target,
    purchase::Visit,
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

    let event = tell_order_nonsense(&target, &receipt.trace_id, &root.id);
    let parked = dead_letter(&target, &event, 0).await;
    let sent_back = run(&target.namespace, &["dlq", "replay", "order", &event, "--shop", &target.shop]);
    let parked_again = dead_letter(&target, &event, 1).await;
    let shown = run(&target.namespace, &["dlq", "show", "order", &event, "--shop", &target.shop, "-o", "yaml"]);
    let all_sent_back =
        run(&target.namespace, &["dlq", "replay", "order", "--all", "--shop", &target.shop, "-o", "json"]);
    let parked_a_third_time = dead_letter(&target, &event, 2).await;
    let trace = fetch(&visit, &receipt.trace_id, 4).await;
    let purge = ["rabbitmqctl", "purge_queue", "order.events.dead", "--vhost", "shop"];
    in_pod(&target, "rabbitmq", &purge);

    sent_back.check(0, "1 back to order");
    assert_eq!(shown.yaml(), parked_again);
    let replayed = &all_sent_back.json()["replayed"];
    assert!(replayed.as_array().is_some_and(|ids| ids.contains(&Value::from(&*event))), "{replayed}");
    for letter in [parked, parked_again, parked_a_third_time] {
        assert_eq!(letter["traceId"], receipt.trace_id);
        assert_eq!(letter["type"], "payment.succeeded");
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("the payload of payment.succeeded cannot be read"), "{letter}");
    }
    for span in handled(&trace) {
        let cause = trace.causes(span).next().map(|cause| (&*cause.service, &*cause.operation));
        assert_eq!(cause, Some(("payment", "publish payment.succeeded")), "\n{}", trace.tree());
    }
}

/// Has payment publish an event that belongs to the trace of a checkout and whose order id is none.
fn tell_order_nonsense(target: &Target, trace: &str, span: &str) -> String {
    let event = Uuid::new_v4().to_string();
    let sql = format!(
        "INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at)
         VALUES ('{event}', 'order_events', 'payment.succeeded', true, '{{\"orderId\": 42}}',
                 '{{\"traceparent\": \"00-{trace}-{span}-01\"}}', now(), now())"
    );
    in_pod(target, "postgres", &["psql", "--username=postgres", "--dbname=payment", "--command", &sql]);
    event
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
    .expect("order parks what it cannot read")
}

/// The trace, as soon as order has handled so many successes of its payment.
async fn fetch(visit: &Visit, id: &str, times: usize) -> Trace {
    let whole = |trace: &Trace| handled(trace).count() == times && trace.is_connected();
    trace::fetch(&visit.cluster, id, whole).await.expect("the trace")
}

fn handled(trace: &Trace) -> impl Iterator<Item = &Span> {
    trace.spans.iter().filter(|span| span.service == "order" && span.operation == "process payment.succeeded")
}

fn in_pod(target: &Target, store: &str, command: &[&str]) {
    let pod = format!("{}-{store}-0", target.shop);
    let mut exec = Command::new("kubectl");
    let output = exec.args(["exec", "--namespace", &target.namespace, &pod, "--"]).args(command).output();
    let output = output.expect("kubectl is on the PATH");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
