//! What the services tell about themselves is exactly what `crates/telemetry/schema.yaml` says.

mod declared;
mod openmetrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
const PATIENCE: Duration = Duration::from_mins(15);

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
        let missing: Vec<&str> =
            schema.constant_metrics_of(service).filter(|name| !emitted.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{service} does not emit {missing:?}");
        for (name, family) in &emitted {
            let metric = schema.metrics.get(name).filter(|metric| metric.by.contains(service));
            let metric = metric.unwrap_or_else(|| panic!("{name} of {service} is not in crates/telemetry/schema.yaml"));
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
        let always = schema.spans.iter().enumerate().filter(|(_, kind)| !kind.lazy);
        let mut missing: BTreeMap<usize, &str> = always.map(|(index, kind)| (index, kind.name.as_str())).collect();
        for service in schema.services() {
            let traces = match trace::recent(&visit.cluster, service).await {
                Ok(traces) => traces,
                Err(error) => return Ok(Seen::NotYet(format!("{service}: {error:#}"))),
            };
            for span in traces.iter().flat_map(|trace| &trace.spans) {
                missing.remove(&declared(&schema, span));
            }
        }
        Ok(if missing.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("without {missing:?}")) })
    })
    .await
    .expect("spans of every kind");
}

/// The kind that a span is of; there has to be one, and it has to name the span's attributes.
fn declared(schema: &Schema, span: &Span) -> usize {
    let kind = schema.kind_of(span);
    let kind = kind.unwrap_or_else(|| panic!("crates/telemetry/schema.yaml does not have {span:?}"));
    let unknown: BTreeSet<&String> = span.attributes.difference(&schema.spans[kind].attributes).collect();
    assert!(unknown.is_empty(), "attributes that are not declared, {unknown:?}: {span:?}");
    kind
}
