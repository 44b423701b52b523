//! Neighbours in trouble.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt as _, future::join_all, stream};
use reqwest::Method;
use shop_config::{Retries, Span};
use shop_testing::eventually;

use crate::harness::{Buyer, Shop};

/// More than the cart takes on at once.
const CROWD: usize = 150;

/// Waits until so many requests wait for the catalog, and nobody else is there.
async fn until_only_these_wait(shop: &Shop, count: usize) {
    let lines = [
        format!("requests_in_flight {count}"),
        format!("mesh_calls_in_flight{{caller=\"cart\",service=\"product\"}} {count}"),
    ];
    eventually("all places for the catalog are taken", || async {
        let text = shop.cart.metrics().await;
        if lines.iter().all(|line| text.lines().any(|found| found == line)) { Ok(()) } else { Err(text) }
    })
    .await;
}

async fn buyers_with_a_desk(shop: &Shop) -> Vec<Buyer<'_>> {
    let desk = shop.neighbours.sell("desk", 1_000);
    let buyers: Vec<_> = (0..CROWD).map(|_| shop.buyer()).collect();
    let filling = stream::iter(&buyers).map(|buyer| buyer.add(desk, 1)).buffer_unordered(16);
    filling.for_each(|(status, cart)| async move { assert_eq!(status, 201, "{cart}") }).await;
    buyers
}

#[tokio::test]
async fn a_catalog_that_hangs_takes_neither_checkouts_nor_the_carts_own_routes_down() {
    let shop = Shop::open_with(|config| config.catalog.timeout = Some(Span(Duration::from_secs(10)))).await;
    let buyers = buyers_with_a_desk(&shop).await;
    let (ordering, clearing) = (shop.buyer(), shop.buyer());
    let chair = shop.neighbours.sell("chair", 500);
    ordering.add(chair, 1).await;
    clearing.add(chair, 1).await;

    shop.neighbours.silent.send_replace(true);
    let crowd = join_all(buyers.iter().map(|buyer| buyer.call(Method::GET, "/api/v1/cart", None)));
    let others = async {
        until_only_these_wait(&shop, 80).await;
        for _ in 0..10 {
            assert_eq!(clearing.call(Method::DELETE, "/api/v1/cart", None).await.0, 204);
        }
        assert_eq!(ordering.checkout().await.0, 201);
        shop.neighbours.silent.send_replace(false);
    };
    let (answers, ()) = tokio::join!(crowd, others);
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(served >= 80, "{served}");
}

#[tokio::test]
async fn a_checkout_whose_reply_is_lost_is_tried_again_and_makes_one_order() {
    let shop = Shop::open_with(|config| config.orders.retries = Retries::default()).await;
    let (buyer, desk) = (shop.buyer(), shop.neighbours.sell("desk", 1_000));
    buyer.add(desk, 1).await;
    shop.neighbours.lose_next_reply.store(true, Ordering::SeqCst);
    assert_eq!(buyer.checkout().await.0, 201);
    let calls = shop.neighbours.calls();
    assert_eq!((calls.len(), &calls[0]), (2, &calls[1]), "two tries with one id");
    assert_eq!(shop.neighbours.orders().len(), 1);
    assert!(buyer.contents().await.is_empty());
}
