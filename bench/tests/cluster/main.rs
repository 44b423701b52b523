//! A short load on a running Shop. `cargo xtask test` names the Shop in the environment.

use clap::Parser as _;
use shop_bench::load::{Options, load};

/// Of so many requests one may fail: on a busy machine a store may stall for longer than a service waits for it.
const REQUESTS_OF_A_FAILURE: u64 = 100;

#[tokio::test]
async fn a_short_load_gets_good_answers_and_every_order_is_delivered() {
    let arguments = ["shop-load", "--connections", "4", "--duration", "5", "--products", "5", "--settle", "120"];
    let report = load(&Options::parse_from(arguments), |step| eprintln!("{step}")).await;
    let report = report.expect("these tests need a running Shop: run them with `cargo xtask test`");
    let requests: u64 = report.flows.iter().map(|flow| flow.requests).sum();
    assert!(report.failed() * REQUESTS_OF_A_FAILURE <= requests, "{report}");
    assert_eq!(report.flows.len(), 7, "every flow was walked: {report}");
    assert!(report.orders.accepted > 0, "somebody bought something: {report}");
    assert_eq!(report.orders.delivered, report.orders.accepted, "{report}");
}
