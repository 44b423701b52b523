//! A neighbour in trouble takes nobody along.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use shop_testing::eventually;
use tokio::time::sleep;

use crate::harness::{
    buyer::{Outcome, Product},
    link::Mode,
    member::Settings,
    shop::Shop,
};

/// More than one cart process works on beside checkouts, if each of them waits for the catalog.
const ADDERS: usize = 120;
/// Between two tries of somebody who does not wait as told.
const IMPATIENCE: Duration = Duration::from_millis(20);
/// How often the cart left a call out because too many waited for the catalog already.
const FULL: &str = r#"mesh_calls_refused_total{caller="cart",service="product",reason="full"}"#;
const LOOKS: usize = 50;
/// Those who wait for the catalog give up together, and for a moment all of them come again; without the limit of calls, everybody who
/// looks into a cart is refused.
const UNLUCKY: usize = LOOKS / 4;

/// Adds a product that no cart has seen yet, again and again.
async fn add(shop: &Shop, product: Product, over: &AtomicBool) {
    let (buyer, line) = (shop.buyer(), json!({"productId": product.id, "quantity": 1}));
    while !over.load(Ordering::Acquire) {
        match shop.ask("cart", Method::POST, "/api/v1/cart", &buyer, Some(&line)).await {
            Some((503, _)) | None => {}
            Some((status, body)) => panic!("added, and nobody knows the price: {status} {body}"),
        }
        sleep(IMPATIENCE).await;
    }
}

#[tokio::test]
async fn a_catalog_that_never_answers_holds_up_what_needs_it_and_nobody_who_looks_into_a_cart() {
    let shop = Shop::open(Settings::default()).await;
    let (kettle, teapot) = (shop.product("Kettle", 1999, 100).await, shop.product("Teapot", 2999, 100).await);
    let owner = shop.buyer();
    shop.put_in_cart(&owner, kettle, 2).await;
    let cart = shop.member("cart");
    cart.link("catalog").set(Mode::Stalled);

    let over = AtomicBool::new(false);
    let adding = join_all((0..ADDERS).map(|_| add(&shop, teapot, &over)));
    let looking = async {
        eventually("calls of the catalog are refused", || async {
            let refused = cart.metric(&shop.client, FULL).await;
            if refused > 0 { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
        let mut refused = 0;
        for _ in 0..LOOKS {
            match shop.ask("cart", Method::GET, "/api/v1/cart", &owner, None).await {
                Some((200, body)) => assert_eq!(body["items"][0]["quantity"], 2, "{body}"),
                Some((503, _)) => refused += 1,
                other => panic!("a look into the cart: {other:?}"),
            }
        }
        over.store(true, Ordering::Release);
        refused
    };
    let (_, refused) = tokio::join!(adding, looking);
    assert!(refused <= UNLUCKY, "{refused} of {LOOKS} looks into a cart were refused");

    cart.link("catalog").set(Mode::Open);
    assert!(matches!(shop.check_out(&owner, "London").await, Outcome::Ordered(_)));
    assert_eq!(shop.settles().await.orders.len(), 1);
}
