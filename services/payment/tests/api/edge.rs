//! What the service answers to: messages, and probes.

use shop_payment::App;
use shop_server::Host;
use shop_testing::{Running, matrix::routes};

use crate::harness::Shop;

#[tokio::test]
async fn nobody_calls_it_there_is_no_route_and_no_grpc_method() {
    let shop = Shop::open().await;
    let service = Running::start::<App>(shop.config(), Host::system()).await;
    assert!(routes(&service.document().await).is_empty());
    assert!(service.addresses.grpc.is_none());
    let answer = service.client.get(service.url("/api/v1/payment")).send().await.expect("the service answers");
    assert_eq!(answer.status(), 404);
    // While a connection is in the middle of its greeting, PostgreSQL drops no database: the end would wait for a timeout.
    service.ready().await;
    service.stop().await;
}
