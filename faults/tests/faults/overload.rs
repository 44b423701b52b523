//! Far more requests than a process takes on at once, and everybody who is refused comes again at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use reqwest::Method;
use shop_testing::eventually;
use tokio::time::sleep;

use crate::harness::{
    buyer::{Outcome, Person, Product},
    chaos::deep,
    link::Mode,
    member::Settings,
    shop::Shop,
};

/// Twice what one cart process works on beside checkouts, and four times where there is time for it.
const BROWSERS: [usize; 2] = [200, 400];
/// As many as there are places that browsing never takes.
const BUYERS: usize = 30;
/// Makes every request take a moment, however fast the machine is.
const MOMENT: Duration = Duration::from_millis(50);
/// Between two tries of somebody who does not wait as told.
const IMPATIENCE: Duration = Duration::from_millis(20);

async fn buyers_with_carts(shop: &Shop, product: Product) -> Vec<Person> {
    join_all((0..BUYERS).map(async |_| {
        let buyer = shop.buyer();
        shop.put_in_cart(&buyer, product, 1).await;
        buyer
    }))
    .await
}

/// Looks into the cart again and again; how often that was refused.
async fn browse(shop: &Shop, over: &AtomicBool) -> usize {
    let (browser, mut refused) = (shop.buyer(), 0);
    while !over.load(Ordering::Acquire) {
        match shop.ask("cart", Method::GET, "/api/v1/cart", &browser, None).await {
            Some((503, _)) => refused += 1,
            Some((200, _)) | None => {}
            Some((status, body)) => panic!("browsing: {status} {body}"),
        }
        sleep(IMPATIENCE).await;
    }
    refused
}

#[tokio::test]
async fn in_a_storm_of_retries_browsing_is_refused_checkouts_are_not_and_afterwards_everything_is_as_before() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    let (during, after) = (buyers_with_carts(&shop, product).await, buyers_with_carts(&shop, product).await);
    let cart = shop.member("cart");
    cart.link("redis").set(Mode::Slow(MOMENT));

    let (over, browsers) = (AtomicBool::new(false), BROWSERS[usize::from(deep())]);
    let storm = join_all((0..browsers).map(|_| browse(&shop, &over)));
    let buying = async {
        eventually("somebody is refused", || async {
            let refused = cart.metric(&shop.client, r#"requests_shed_total{priority="other"}"#).await;
            if refused > 0 { Ok(()) } else { Err("nobody".to_owned()) }
        })
        .await;
        let outcomes = join_all(during.iter().map(|buyer| shop.check_out(buyer, "London"))).await;
        over.store(true, Ordering::Release);
        outcomes
    };
    let (refused, outcomes) = tokio::join!(storm, buying);
    assert!(refused.iter().sum::<usize>() > browsers, "the storm was none");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ordered(_))), "{outcomes:?}");
    assert_eq!(cart.metric(&shop.client, r#"requests_shed_total{priority="checkout"}"#).await, 0);

    cart.link("redis").set(Mode::Open);
    let shed = async || cart.metric(&shop.client, r#"requests_shed_total{priority="other"}"#).await;
    let shed_by_now = shed().await;
    let looks = join_all(after.iter().map(|buyer| shop.surely("cart", Method::GET, "/api/v1/cart", buyer, None))).await;
    assert!(looks.iter().all(|(status, _)| *status == 200), "{looks:?}");
    let outcomes = join_all(after.iter().map(|buyer| shop.check_out(buyer, "London"))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ordered(_))), "{outcomes:?}");
    assert_eq!(shed().await, shed_by_now, "nobody is refused any more");
    assert_eq!(shop.settles().await.orders.len(), 2 * BUYERS);
}
