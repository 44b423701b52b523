//! Faults on purpose do what they say.

use std::time::{Duration, Instant};

use shop_config::{FaultCode, Faults, Peer, Percent, Span};
use tonic::Code;

use crate::harness::{Caller, Catalog, Mood, patiently};

fn none() -> Faults {
    Faults { percent: Percent::try_from(100).unwrap(), delay: None, error: None, reset: false }
}

async fn with(faults: Faults) -> (Catalog, Caller) {
    let catalog = Catalog::start(Mood::Good).await;
    let caller = Caller::of([catalog.address], &Peer { faults: Some(faults), ..patiently() });
    (catalog, caller)
}

#[tokio::test]
async fn an_error_comes_instead_of_the_neighbours_answer() {
    for (error, code) in [
        (FaultCode::Unavailable, Code::Unavailable),
        (FaultCode::DeadlineExceeded, Code::DeadlineExceeded),
        (FaultCode::ResourceExhausted, Code::ResourceExhausted),
        (FaultCode::Internal, Code::Internal),
    ] {
        let (catalog, caller) = with(Faults { error: Some(error), ..none() }).await;
        let status = caller.ask().await.expect_err("it was to fail");
        assert_eq!((status.code(), catalog.arrived()), (code, 0), "{status}");
    }
}

#[tokio::test]
async fn a_reset_looks_like_a_connection_that_broke() {
    let (catalog, caller) = with(Faults { reset: true, ..none() }).await;
    let status = caller.ask().await.expect_err("it was to break");
    assert_eq!((status.code(), catalog.arrived()), (Code::Unavailable, 0), "{status}");
}

#[tokio::test]
async fn a_delay_comes_before_the_answer() {
    let delay = Duration::from_millis(50);
    let (_catalog, caller) = with(Faults { delay: Some(Span(delay)), ..none() }).await;
    let started = Instant::now();
    caller.ask().await.expect("late, and well");
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn a_share_of_the_tries_comes_to_harm_and_none_does_at_nought_percent() {
    let half = Percent::try_from(50).unwrap();
    let (catalog, caller) = with(Faults { percent: half, error: Some(FaultCode::Internal), ..none() }).await;
    let answered = caller.ask_often(1000).await;
    assert!((300..700).contains(&answered), "{answered}");
    assert_eq!(catalog.arrived(), answered);

    let nought = Percent::try_from(0).unwrap();
    let (_catalog, caller) = with(Faults { percent: nought, reset: true, ..none() }).await;
    assert_eq!(caller.ask_often(100).await, 100);
}
