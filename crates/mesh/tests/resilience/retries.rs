//! What is tried again, and how often.

use std::{num::NonZeroU32, time::Instant};

use shop_config::{Peer, Percent, Retries};
use shop_core::Fault;
use shop_mesh::to_status;

use crate::harness::{Caller, Catalog, Mood, away, patiently};

#[tokio::test]
async fn a_call_that_may_be_made_twice_is_tried_again_elsewhere() {
    let (bad, good) = (Catalog::start(away()).await, Catalog::start(Mood::Good).await);
    let caller = Caller::of([bad.address, good.address], &patiently());
    assert_eq!(caller.ask_often(20).await, 20);
    assert_eq!(caller.metric("mesh_retries_total{caller=\"cart\",service=\"product\"}"), bad.arrived() as u64);
    let count = "rpc_client_call_duration_seconds_count{caller=\"cart\",service=\"product\",\
        method=\"shop.catalog.v1.CatalogService/GetProducts\",code=\"OK\"}";
    assert_eq!(caller.metric(count), 20, "calls are counted, and not tries");
}

#[tokio::test]
async fn a_call_has_as_many_tries_as_the_shop_says() {
    for attempts in [1, 4] {
        let catalog = Catalog::start(away()).await;
        let attempts = NonZeroU32::new(attempts).unwrap();
        let settings = Peer { retries: Retries { attempts, ..Retries::default() }, ..patiently() };
        let caller = Caller::of([catalog.address], &settings);
        let refused = caller.ask().await.expect_err("it is away");
        assert_eq!(refused.message(), "gone for lunch", "the pod's own words");
        assert_eq!(catalog.arrived(), attempts.get() as usize);
    }
}

#[tokio::test]
async fn a_call_that_the_table_does_not_allow_twice_is_made_once() {
    let catalog = Catalog::start(away()).await;
    let caller = Caller::named("delivery", [catalog.address], &patiently());
    caller.ask().await.expect_err("it is away");
    assert_eq!(catalog.arrived(), 1);
}

#[tokio::test]
async fn a_neighbour_that_says_when_to_come_back_is_not_asked_again_before() {
    let busy = Mood::Bad(to_status(Fault::unavailable("The database")));
    let catalogs = [Catalog::start(busy.clone()).await, Catalog::start(busy).await];
    let caller = Caller::of(catalogs.each_ref().map(|catalog| catalog.address), &patiently());
    caller.ask().await.expect_err("it is busy");
    assert_eq!(catalogs.iter().map(Catalog::arrived).sum::<usize>(), 1);
}

#[tokio::test]
async fn retries_stop_at_their_budget() {
    let catalog = Catalog::start(Mood::Good).await;
    let retries = Retries { budget: Percent::try_from(10).unwrap(), ..Retries::default() };
    let caller = Caller::of([catalog.address], &Peer { retries, ..patiently() });
    let (started, calls) = (Instant::now(), 1000);
    let mut failed = 0;
    for call in 0..calls {
        // An answer now and then, or the neighbour would be left alone.
        catalog.becomes(if call % 10 == 0 { Mood::Good } else { away() });
        failed += usize::from(caller.ask().await.is_err());
    }
    let retried = catalog.arrived() - calls;
    // A tenth of the calls, and three a second over the window of ten seconds and the time that this takes.
    let allowed = calls / 10 + 3 * (10 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1);
    assert!(retried <= allowed, "{retried} of {allowed}");
    assert_eq!(failed, calls * 9 / 10);
    assert!(caller.metric("mesh_retry_budget_exhausted_total{caller=\"cart\",service=\"product\"}") > 0);
}
