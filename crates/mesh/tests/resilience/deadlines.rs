//! Whoever waits says for how long.

use std::time::Duration;

use shop_config::{Peer, Span};
use shop_mesh::within;
use tonic::Code;

use crate::harness::{Caller, Catalog, Mood, patiently, until, value};

const SHORT: Duration = Duration::from_millis(100);

/// Asks in a hurry until the question has got through to `catalog`, which does not answer.
async fn ask_in_vain(caller: &Caller, catalog: &Catalog) {
    let before = catalog.arrived();
    while catalog.arrived() == before {
        let late = within(SHORT, caller.ask()).await.expect_err("it is silent");
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_so_does_the_work_for_it() {
    let catalog = Catalog::start(Mood::Silent).await;
    let caller = Caller::of([catalog.address], &Peer { timeout: Some(Span(SHORT)), ..patiently() });
    while catalog.arrived() == 0 {
        let late = caller.ask().await.expect_err("it is silent");
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    }
    until("the work is dropped", || catalog.given_up() == catalog.arrived()).await;
    assert!(catalog.announced() <= SHORT);
    let count = "rpc_server_call_duration_seconds_count{caller=\"unknown\",service=\"product\",\
        method=\"shop.catalog.v1.CatalogService/GetProducts\",code=\"CANCELLED\"}";
    until("it is counted", || value(&catalog.metrics, count) > 0).await;
}

#[tokio::test]
async fn a_call_made_for_somebody_ends_when_they_give_up() {
    let catalog = Catalog::start(Mood::Silent).await;
    let caller = Caller::of([catalog.address], &patiently());
    ask_in_vain(&caller, &catalog).await;
    until("the work is dropped", || catalog.given_up() == catalog.arrived()).await;

    let before = catalog.arrived();
    let late = within(Duration::ZERO, caller.ask()).await.expect_err("nobody waits any more");
    assert_eq!((late.code(), catalog.arrived()), (Code::DeadlineExceeded, before));
}

#[tokio::test]
async fn a_deadline_goes_on_to_whoever_is_asked_next() {
    let (near, far) = (Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await);
    near.asks(Caller::of([far.address], &patiently()));
    let patience = Duration::from_secs(20);
    let caller = Caller::of([near.address], &Peer { timeout: Some(Span(patience)), ..patiently() });
    caller.ask().await.expect("both answer");
    assert!(near.announced() <= patience && far.announced() <= near.announced());

    far.becomes(Mood::Silent);
    ask_in_vain(&caller, &far).await;
    until("the work of both is dropped", || far.given_up() == far.arrived() - 1 && near.given_up() > 0).await;
}
