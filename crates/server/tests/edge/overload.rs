//! More requests than the process takes on at once.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use shop_server::Limits;

use crate::harness::Shop;

/// Room for four requests, so for three that are no checkouts.
fn four() -> Limits {
    Limits { requests: 4, ..Limits::default() }
}

fn slow_requests(shop: &Shop, count: usize) -> Vec<tokio::task::JoinHandle<u16>> {
    let one = || {
        let request = shop.service.client.get(shop.service.url("/slow")).send();
        tokio::spawn(async move { request.await.expect("an answer").status().as_u16() })
    };
    std::iter::repeat_with(one).take(count).collect()
}

#[tokio::test]
async fn over_the_limit_browsing_is_refused_at_once_while_checkouts_and_probes_are_served() {
    let shop = Shop::open(four()).await;
    let waiting = slow_requests(&shop, 3);
    shop.until_in_flight(3).await;

    let refused = shop.service.client.get(shop.service.url("/search")).send().await.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(refused.headers()["retry-after"], "1");
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(
        (problem["status"].as_u64(), problem["type"].as_str()),
        (Some(503), Some("urn:shopkeeper:problem:unavailable"))
    );
    assert_eq!(shop.metric("requests_shed_total{priority=\"other\"}").await, Some(1));

    let placed = shop.service.client.post(shop.service.url("/checkout")).send().await.expect("an answer");
    assert_eq!(placed.status(), 201);
    shop.service.ready().await;

    shop.open_door();
    for status in join_all(waiting).await {
        assert_eq!(status.expect("no panic"), 200, "whoever was let in is served");
    }
    shop.until_in_flight(0).await;
    shop.still_serves().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place_to_others() {
    let shop = Shop::open(four()).await;
    let waiting = slow_requests(&shop, 3);
    shop.until_in_flight(3).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    shop.until_in_flight(0).await;
    shop.still_serves().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_with_a_503_and_its_place_is_free() {
    let shop = Shop::open(Limits { answer: Duration::from_millis(50), ..four() }).await;
    let answer = shop.service.client.get(shop.service.url("/slow")).send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(shop.metric("requests_in_flight").await, Some(0));
}
