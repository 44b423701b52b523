//! A neighbour in trouble does not take its callers along.

use shop_core::Kind;
use shop_mesh::from_status;

use crate::harness::{Caller, Catalog, Mood, away, patiently, until};

const IN_FLIGHT: &str = "mesh_calls_in_flight{caller=\"cart\",service=\"product\"}";
const FULL: &str = "mesh_calls_refused_total{caller=\"cart\",service=\"product\",reason=\"full\"}";
const OPEN: &str = "mesh_circuit_open{caller=\"cart\",service=\"product\"}";

#[tokio::test]
async fn more_calls_than_there_are_places_are_refused_at_once_and_those_under_way_are_answered() {
    let catalog = Catalog::start(Mood::Silent).await;
    let caller = Caller::of([catalog.address], &patiently());
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let caller = caller.clone();
                async move { caller.ask().await }
            })
        })
        .collect();
    until("the rest is refused", || caller.metric(IN_FLIGHT) + caller.metric(FULL) == 100).await;
    let (in_flight, refused) = (caller.metric(IN_FLIGHT), caller.metric(FULL));
    assert!(in_flight > 0 && refused > 0);
    let fault = from_status("The catalog", caller.ask().await.expect_err("it is full"));
    assert!(matches!(fault.kind(), Kind::Unavailable { .. }), "{fault:?}");

    catalog.becomes(Mood::Good);
    let outcomes = futures::future::join_all(waiting).await;
    let answered = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Ok(())))).count();
    assert_eq!(answered as u64, in_flight);
    assert_eq!(caller.metric(IN_FLIGHT), 0);
    caller.ask().await.expect("there is room again");
}

#[tokio::test]
async fn a_neighbour_that_only_fails_is_left_alone_until_it_answers_again() {
    let catalog = Catalog::start(away()).await;
    let caller = Caller::of([catalog.address], &patiently());
    while caller.metric(OPEN) == 0 {
        caller.ask().await.expect_err("it is away");
    }
    let refused = loop {
        let refused = caller.ask().await.expect_err("it is left alone, but for one call a second");
        if refused.message() != "gone for lunch" {
            break refused;
        }
    };
    assert_eq!(refused.message(), "product does not answer, try again");

    catalog.becomes(Mood::Good);
    while caller.ask().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(caller.metric(OPEN), 0);
    assert_eq!(caller.ask_often(100).await, 100);
}
