//! Several pods, of which some do not answer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use shop_config::{Peer, Retries, Span};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::harness::{Caller, Catalog, Mood, away, patiently, until};

/// One try takes a second at most: long for a pod that answers, short for a thousand calls.
fn with_short_tries() -> Peer {
    let retries = Retries { per_try_timeout: Some(Span(Duration::from_secs(1))), ..Retries::default() };
    Peer { retries, ..patiently() }
}

/// A thousand calls while the third pod is at `bad`, and two are well.
async fn a_thousand_calls_beside(bad: SocketAddr) -> Caller {
    let well = [Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await];
    let caller = Caller::of([well[0].address, well[1].address, bad], &with_short_tries());
    let answered = caller.ask_often(1000).await;
    assert!(answered >= 999, "{answered} of 1000");
    assert!(well.iter().all(|catalog| catalog.arrived() > 100), "both work");
    caller
}

#[tokio::test]
async fn a_pod_that_is_frozen_costs_no_call() {
    // The kernel accepts for it, as it does for a process that was stopped.
    let frozen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    a_thousand_calls_beside(frozen.local_addr().unwrap()).await;
}

#[tokio::test]
async fn a_pod_that_can_be_reached_by_nobody_costs_no_call() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let hole = socket.listen(0).unwrap();
    let address = hole.local_addr().unwrap();
    // Its queue is full: the kernel drops what comes, as a network does that has lost a node.
    let _waiting = TcpStream::connect(address).await.unwrap();
    a_thousand_calls_beside(address).await;
}

#[tokio::test]
async fn a_pod_that_is_dead_costs_no_call_and_is_left_alone() {
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let caller = a_thousand_calls_beside(dead).await;
    assert!(caller.metric("mesh_ejections_total{caller=\"cart\",service=\"product\"}") > 0);
}

#[tokio::test]
async fn a_pod_that_freezes_in_the_middle_costs_no_call_and_is_used_again_once_it_thaws() {
    let pods = [Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await];
    let caller = Caller::of(pods.each_ref().map(|pod| pod.address), &with_short_tries());
    assert_eq!(caller.ask_often(300).await, 300);
    pods[1].becomes(Mood::Silent);
    let answered = caller.ask_often(1000).await;
    assert!(answered >= 999, "{answered} of 1000");

    pods[1].becomes(Mood::Good);
    let before = pods[1].arrived();
    let asking = async {
        loop {
            caller.ask_often(16).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = until("it is used again", || pods[1].arrived() > before + 10) => {}
    }
}

#[tokio::test]
async fn new_pods_get_calls_and_those_that_left_get_none() {
    let (old, new) = (Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await);
    let caller = Caller::of([old.address], &patiently());
    assert_eq!(caller.ask_often(100).await, 100);
    caller.names.set([old.address, new.address]);
    let asking = async {
        loop {
            assert_eq!(caller.ask_often(16).await, 16);
        }
    };
    tokio::select! {
        () = asking => {}
        () = until("the new pod is used", || new.arrived() > 100) => {}
    }
    assert_eq!(caller.metric("mesh_endpoints{caller=\"cart\",service=\"product\"}"), 2);

    caller.names.set([new.address]);
    until("the old one is forgotten", || caller.metric("mesh_endpoints{caller=\"cart\",service=\"product\"}") == 1)
        .await;
    let before = old.arrived();
    assert_eq!(caller.ask_often(100).await, 100);
    assert_eq!(old.arrived(), before);
}

#[tokio::test]
async fn a_single_pod_is_asked_however_often_it_failed() {
    let catalog = Catalog::start(away()).await;
    let caller = Caller::of([catalog.address], &patiently());
    for _ in 0..4 {
        caller.ask().await.expect_err("it is away");
    }
    assert_eq!(caller.metric("mesh_ejections_total{caller=\"cart\",service=\"product\"}"), 0);
    catalog.becomes(Mood::Good);
    caller.ask().await.expect("it is back");
}
