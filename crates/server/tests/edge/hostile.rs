//! Bytes that no friendly client would send. Whatever they are, the answer is the client's own fault, and nobody else notices.

use std::fmt::Write as _;

use shop_server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Shop, status};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}\r\n")
}

fn post(body: &str, headers: &str) -> String {
    let length = body.len();
    format!(
        "POST /notes HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn is_problem(answer: &str) -> bool {
    (400..500).contains(&status(answer)) && answer.contains("content-type: application/problem+json\r\n")
}

#[tokio::test]
async fn methods_that_nobody_has_heard_of_are_counted_together() {
    let shop = Shop::open(Limits::default()).await;
    for method in ["BREW", "WHEN", "GeT"] {
        let answer = shop.send(format!("{method} /notes/1 HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")).await;
        assert!(is_problem(&answer), "{method} was answered {answer}");
    }
    let counted = r#"http_server_request_duration_seconds_count{method="_OTHER",route="/notes/{id}",status="405"}"#;
    assert_eq!(shop.metric(counted).await, Some(3));
}

#[tokio::test]
async fn a_path_that_leads_nowhere_or_cannot_be_read_gets_a_problem() {
    let shop = Shop::open(Limits::default()).await;
    let long = "a".repeat(10_000);
    let slashes = "/".repeat(5_000);
    for target in [
        "/notes/%ff",
        "/notes/%00",
        "/notes/%zz",
        "/notes/%",
        "/notes/..",
        "/notes/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/..;/notes",
        "//notes",
        "/notes//x",
        "/NOTES/1",
        "/notes/1?x=%ff",
        "/search?limit=99999999999999999999",
        "/search?limit=-1",
        "/search?limit=1&limit=2",
        "/search?limit",
        &format!("/{long}"),
        &format!("/notes/{long}"),
        &format!("/search?q={long}"),
        &format!("/x{slashes}y"),
        "http://elsewhere.example/notes/1",
    ] {
        let answer = shop.send(get(target, "")).await;
        assert!(is_problem(&answer), "{target:.60} was answered {answer}");
        assert!(answer.contains("x-trace-id: "), "{target:.60} has no trace: {answer}");
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn a_path_with_many_trailing_slashes_is_the_one_without() {
    let shop = Shop::open(Limits::default()).await;
    for target in [format!("/notes/{NIL}"), format!("/notes/{NIL}/"), format!("/notes/{NIL}///")] {
        assert_eq!(status(&shop.send(get(&target, "")).await), 200, "{target}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_http_is_refused_and_costs_nobody_anything() {
    let shop = Shop::open(Limits::default()).await;
    let requests: &[&[u8]] = &[
        b"GET /notes/\0 HTTP/1.1\r\nhost: shop\r\n\r\n",
        b"GET /notes/\x80\xff HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n",
        b"GET /not es HTTP/1.1\r\nhost: shop\r\n\r\n",
        b"GET notes HTTP/1.1\r\nhost: shop\r\n\r\n",
        b"GET /notes HTTP/9.9\r\nhost: shop\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"G\xc3\x89T /notes HTTP/1.1\r\nhost: shop\r\n\r\n",
        b"GET /notes HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET /notes HTTP/1.1\r\nx: a\0b\r\n\r\n",
        b"GET /notes HTTP/1.1\r\nx: a\r\n folded\r\nconnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-length: -1\r\n\r\n",
        b"POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /notes HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: gzip\r\n\r\n",
    ];
    for request in requests {
        let mut stream = shop.connect().await;
        stream.write_all(request).await.expect("the connection is open");
        // Some of these are only the beginning of a request.
        stream.shutdown().await.expect("the connection is open");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = status(&answer);
        assert!(answer.is_empty() || (400..500).contains(&status), "{:?}: {answer}", String::from_utf8_lossy(request));
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn methods_and_targets_that_only_proxies_use_are_refused() {
    let shop = Shop::open(Limits::default()).await;
    for line in ["BREW /notes", "CONNECT shop:80", "OPTIONS *", "TRACE /search", "PATCH /notes", "DELETE /search"] {
        let answer = shop.send(format!("{line} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")).await;
        assert!(is_problem(&answer), "{line}: {answer}");
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn a_body_whose_end_two_headers_tell_differently_is_one_request_and_not_two() {
    let shop = Shop::open(Limits::default()).await;
    let smuggled = "0\r\n\r\nGET /search?q=smuggled HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
    let answer = shop
        .send(format!(
            "POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             transfer-encoding: chunked\r\n\r\n{smuggled}",
            smuggled.len()
        ))
        .await;
    assert!((400..500).contains(&status(&answer)), "{answer}");
    assert!(!answer.contains("smuggled"), "{answer}");
    shop.still_serves().await;
}

#[tokio::test]
async fn chunks_that_are_no_chunks_are_refused() {
    let shop = Shop::open(Limits::default()).await;
    for chunks in ["zz\r\n", "ffffffffffffffffff\r\nx", "-1\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n", "5\r\nhelloworld\r\n"]
    {
        let answer = shop
            .send(format!(
                "POST /notes HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 transfer-encoding: chunked\r\n\r\n{chunks}"
            ))
            .await;
        assert!(answer.is_empty() || is_problem(&answer), "{chunks:?}: {answer}");
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn headers_that_are_odd_change_nothing() {
    let shop = Shop::open(Limits::default()).await;
    let hops = "203.0.113.9, ".repeat(500);
    for header in [
        "host: other\r\n",
        "x-forwarded-for: , ,,unknown, \r\nx-forwarded-for: [::1]:99999, 256.256.256.256\r\n",
        &format!("x-forwarded-for: {hops}\r\n"),
        "traceparent: nonsense\r\n",
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-01\r\n",
        "traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1,a=2,,=,\r\n",
        "traceparent: 00-\u{fc}\r\n",
        "expect: a-miracle\r\n",
        "accept: */*;q=nan\r\naccept-encoding: zip\r\nrange: bytes=9-1\r\n",
        "upgrade: h2c\r\nhttp2-settings: AAAA\r\n",
        "content-length: 0\r\ncontent-type: \u{ff}\r\n",
    ] {
        let answer = shop.send(get("/search?q=tea", header)).await;
        assert_eq!(status(&answer), 200, "{header:.80}: {answer}");
        assert!(answer.contains("x-trace-id: "), "{header:.80}: {answer}");
    }
}

#[tokio::test]
async fn headers_that_are_too_many_or_too_long_are_refused() {
    let shop = Shop::open(Limits::default()).await;
    let mut many = String::new();
    for number in 0..150 {
        let _ = write!(many, "x-{number}: 1\r\n");
    }
    let long = format!("x-long: {}\r\n", "a".repeat(20_000));
    for headers in [&many, &long] {
        assert_eq!(status(&shop.send(get("/search", headers)).await), 431);
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn json_that_is_nested_without_end_is_refused_before_it_is_built() {
    let shop = Shop::open(Limits::default()).await;
    let lists = "[".repeat(60_000);
    let objects = "{\"a\":".repeat(12_000);
    for body in [
        lists.clone(),
        objects.clone(),
        format!("{{\"text\":{lists}"),
        format!("{{\"unknown\":{lists}"),
        format!("{{\"unknown\":{objects}"),
    ] {
        let answer = shop.send(post(&body, "")).await;
        assert!(is_problem(&answer) && status(&answer) == 400, "{body:.20}: {answer}");
    }
    shop.still_serves().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_or_not_in_utf_8_or_empty_gets_a_problem() {
    let shop = Shop::open(Limits::default()).await;
    let head = |length: usize, media: &str| {
        format!(
            "POST /notes HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    for (media, body, expected) in [
        ("application/json", &b""[..], 400),
        ("application/json", b"{\"text\":\"\xff\xfe\"}", 400),
        ("application/json", b"{\"text\":\"\\ud800\"}", 400),
        ("application/json", b"{\"text\":1e999}", 400),
        ("application/json", b"{\"text\":\"a\"} {}", 400),
        ("application/json", b"\xef\xbb\xbf{\"text\":\"a\"}", 400),
        ("application/json", b"{\"text\":\"a\",\"text\":\"b\"}", 400),
        ("text/plain", b"{\"text\":\"a\"}", 415),
        ("application/x-www-form-urlencoded", b"text=a", 415),
    ] {
        let answer = shop.send([head(body.len(), media).as_bytes(), body].concat()).await;
        assert!(is_problem(&answer) && status(&answer) == expected, "{:?}: {answer}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn a_body_over_its_limit_is_a_413_and_one_without_end_is_cut_off() {
    let shop = Shop::open(Limits::default()).await;
    let answer = shop.send(post(&format!("{{\"text\":\"{}\"}}", "a".repeat(64 * 1024)), "")).await;
    assert!(is_problem(&answer) && status(&answer) == 413, "{answer}");

    let mut stream = shop.connect().await;
    let head =
        "POST /notes HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    // Ends only because the service closes the connection.
    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    shop.still_serves().await;
}
