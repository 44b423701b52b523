//! What the services tell about themselves is exactly what `crates/telemetry/schema.yaml` says.

mod declared;
mod openmetrics;

use std::{collections::BTreeSet, time::Duration};

use shop_e2e::{
    Seen,
    purchase::DELIVERED,
    shop::LONDON,
    trace::{self, Span},
    wait_for,
};

use self::declared::Schema;
use crate::{stall, visit};

const ADMIN_PORT: u16 = 8081;
/// The other tests of this program send orders along every way that the schema knows; this one waits for their spans.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn every_service_emits_the_metrics_that_are_declared_for_it_and_no_others() {
    let schema = Schema::read();
    let visit = visit().await;
    let buyer = visit.sign_up().await.expect("a buyer signs up");
    let receipt = visit.buy(stall(&visit).await, &buyer, 2, LONDON).await.expect("the checkout succeeds");
    visit.follow(&receipt, DELIVERED).await.expect("the order is delivered");
    for service in schema.services() {
        let text = visit.cluster.ask(service, ADMIN_PORT, "/metrics").await.expect("the metrics can be read");
        let emitted = openmetrics::families(&text);
        let declared: BTreeSet<&str> = schema.metrics_of(service).collect();
        let names: BTreeSet<&str> = emitted.keys().map(String::as_str).collect();
        assert_eq!(names, declared, "{service}");
        for (name, family) in &emitted {
            let metric = &schema.metrics[name];
            assert_eq!(family.kind, metric.kind, "{service}: {name}");
            for labels in &family.labels {
                assert_eq!(labels, &metric.labels, "{service}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn every_span_is_declared_with_its_attributes_and_every_declared_span_is_emitted() {
    let schema = Schema::read();
    let visit = visit().await;
    wait_for("a span of every kind", PATIENCE, async || {
        let mut missing: BTreeSet<&str> = schema.spans.keys().map(String::as_str).collect();
        for service in schema.services() {
            for span in trace::recent(&visit.cluster, service).await?.iter().flat_map(|trace| &trace.spans) {
                missing.remove(declared(&schema, span));
            }
        }
        Ok(if missing.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("without {missing:?}")) })
    })
    .await
    .expect("spans of every kind");
}

/// The entry of the schema that a span is an instance of; there has to be one, and it has to name the span's attributes.
fn declared<'a>(schema: &'a Schema, span: &Span) -> &'a str {
    let Span { service, operation, kind, .. } = span;
    let (name, entry) = schema
        .span(operation)
        .unwrap_or_else(|| panic!("{service} emits `{operation}`, which crates/telemetry/schema.yaml does not have"));
    assert_eq!(kind, &entry.kind, "{service} {operation}");
    assert!(entry.by.contains(service), "{operation} is emitted by {service}, which is not in its `by`");
    let unknown: BTreeSet<&String> = span.attributes.difference(&entry.attributes).collect();
    assert!(unknown.is_empty(), "{service} {operation} has attributes that are not declared: {unknown:?}");
    name
}
