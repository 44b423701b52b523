//! From a latency to a trace.

use shop_server::Limits;

use crate::harness::Shop;

#[tokio::test]
async fn a_latency_names_the_trace_of_one_of_its_requests() {
    let shop = Shop::open(Limits::default()).await;
    let client = &shop.service.client;
    let answer = client.get(shop.service.url("/search")).send().await.expect("an answer");
    let trace = answer.headers()["x-trace-id"].to_str().expect("hexadecimal digits").to_owned();

    let metrics = client.get(format!("http://{}/metrics", shop.service.addresses.admin)).send().await;
    let text = metrics.expect("the admin port answers").text().await.expect("text");
    let exemplar = format!("# {{trace_id=\"{trace}\"}}");
    let bucket = text.lines().find(|line| line.contains(&exemplar)).unwrap_or_else(|| panic!("{exemplar}: {text}"));
    assert!(bucket.starts_with("http_server_request_duration_seconds_bucket{"), "{bucket}");
}
