//! Clients that take their time. The time they get is a parameter, so that the tests need not wait for the real one.

use std::time::Duration;

use shop_server::Limits;
use shop_testing::eventually;
use tokio::{io::AsyncWriteExt as _, time::sleep};

use crate::harness::{Shop, one_answer, rest_of, status};

const SHORT: Duration = Duration::from_millis(50);
const SEARCH: &str = "GET /search HTTP/1.1\r\nhost: shop\r\n\r\n";

#[tokio::test]
async fn a_client_whose_headers_never_end_is_cut_off_however_steadily_they_come() {
    let shop = Shop::open(Limits { headers: SHORT, ..Limits::default() }).await;
    let (mut reader, mut writer) = shop.connect().await.into_split();
    let dripping = async {
        writer.write_all(b"GET /search HTTP/1.1\r\nhost: shop\r\nx-slow: ").await.expect("the connection is open");
        while writer.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let mut heard = Vec::new();
    tokio::select! {
        () = dripping => {}
        _ = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut heard) => {}
    }
    assert!(!heard.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&heard));
    shop.still_serves().await;
}

#[tokio::test]
async fn a_client_whose_body_never_ends_gets_a_problem_and_is_cut_off() {
    let shop = Shop::open(Limits { body: SHORT, leftover: SHORT, ..Limits::default() }).await;
    let answer = shop
        .send("POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"te")
        .await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("The body took too long"), "{answer}");
    assert_eq!(shop.metric("requests_in_flight").await, Some(0));
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let shop = Shop::open(Limits { idle: SHORT, ..Limits::default() }).await;
    assert_eq!(rest_of(&mut shop.connect().await).await, "", "before the first request");
    // Time to ask something, on a machine that has much else to do.
    let shop = Shop::open(Limits { idle: Duration::from_secs(2), ..Limits::default() }).await;
    let mut stream = shop.connect().await;
    stream.write_all(SEARCH.as_bytes()).await.expect("the connection is open");
    let answer = rest_of(&mut stream).await;
    assert_eq!(status(&answer), 200, "after a request: {answer}");
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_for_longer_than_headers_may_take() {
    let shop = Shop::open(Limits { headers: Duration::from_millis(10), ..Limits::default() }).await;
    let mut stream = shop.connect().await;
    for _ in 0..3 {
        stream.write_all(SEARCH.as_bytes()).await.expect("the connection is open");
        assert_eq!(status(&one_answer(&mut stream).await), 200);
        // The rest is what is tested.
        sleep(SHORT).await;
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once_and_there_is_room_again_when_one_ends() {
    let shop = Shop::open(Limits { connections: 2, ..Limits::default() }).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = shop.connect().await;
        stream.write_all(SEARCH.as_bytes()).await.expect("the connection is open");
        assert_eq!(status(&one_answer(&mut stream).await), 200);
        open.push(stream);
    }
    assert_eq!(rest_of(&mut shop.connect().await).await, "");
    assert_eq!(shop.metric("http_connections_refused_total").await, Some(1));
    open.pop();
    eventually("a connection is accepted again", || async {
        let answer = shop.send("GET /search HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").await;
        if status(&answer) == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
}
