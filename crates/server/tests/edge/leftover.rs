//! Requests that are refused before their body was read. A client behind a proxy hears of it only when nobody breaks the
//! connection while it still sends.

use std::time::Duration;

use shop_server::Limits;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Shop, one_answer, rest_of, status};

/// As large as the largest form, and more than the sockets of both sides hold.
const FORM: usize = 8 * 1024 * 1024;

/// The head of a request that is refused for its media type.
fn head(headers: &str) -> String {
    format!("POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-type: text/plain\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_client_may_send_its_body_to_the_end_before_it_reads_why_it_was_refused() {
    let shop = Shop::open(Limits::default()).await;
    let mut stream = shop.connect().await;
    for _ in 0..2 {
        stream.write_all(head(&format!("content-length: {FORM}\r\n")).as_bytes()).await.expect("the head is read");
        stream.write_all(&vec![b'a'; FORM]).await.expect("the body is read to its end");
        let answer = one_answer(&mut stream).await;
        assert_eq!(status(&answer), 415, "{answer}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_of_its_route_is_read_on_before_the_answer() {
    let shop = Shop::open(Limits::default()).await;
    let mut stream = shop.connect().await;
    let head = format!(
        "POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {FORM}\r\n\r\n\"",
    );
    stream.write_all(head.as_bytes()).await.expect("the head is read");
    stream.write_all(&vec![b'a'; FORM - 1]).await.expect("the body is read to its end");
    assert_eq!(status(&one_answer(&mut stream).await), 413);
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_refused_without_being_asked_for_the_body() {
    let shop = Shop::open(Limits::default()).await;
    let answer = shop.send(head(&format!("content-length: {FORM}\r\nexpect: 100-continue\r\n"))).await;
    assert_eq!(status(&answer), 415, "{answer}");
}

#[tokio::test]
async fn nobody_waits_for_a_body_that_is_too_long_to_read() {
    let shop = Shop::open(Limits { leftover: Duration::MAX, ..Limits::default() }).await;
    let answer = shop.send(head("content-length: 1000000000000\r\n")).await;
    assert_eq!(status(&answer), 415, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_without_end() {
    let shop = Shop::open(Limits { leftover: Duration::from_millis(50), ..Limits::default() }).await;
    let mut stream = shop.connect().await;
    stream.write_all(head("content-length: 10\r\n").as_bytes()).await.expect("the connection is open");
    let answer = rest_of(&mut stream).await;
    assert_eq!(status(&answer), 415, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}
