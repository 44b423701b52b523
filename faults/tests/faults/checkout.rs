//! One checkout is one order, however often and at whatever moment it is sent.

use std::{collections::HashMap, time::Duration};

use futures::{
    future::join_all,
    stream::{self, StreamExt as _},
};
use rand::RngExt as _;
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::harness::{
    buyer::Outcome,
    chaos::{deep, random},
    link::{Moment, Trap},
    member::Settings,
    shop::Shop,
};

#[tokio::test]
async fn of_a_thousand_buyers_of_a_hundred_units_exactly_a_hundred_get_one() {
    let shop = Shop::open(Settings { replicas: 2, ..Settings::default() }).await;
    let product = shop.product("Last kettles", 1999, 100).await;
    let outcomes: Vec<_> = stream::iter(0..1000)
        .map(async |_| {
            let buyer = shop.buyer();
            shop.put_in_cart(&buyer, product, 1).await;
            shop.check_out(&buyer, "London").await
        })
        .buffer_unordered(48)
        .collect()
        .await;
    let refused = outcomes.iter().filter(|outcome| **outcome == Outcome::Refused("out_of_stock".to_owned())).count();
    assert_eq!((outcomes.len() - refused, refused), (100, 900));
    let books = shop.settles().await;
    assert_eq!(books.orders.len(), 100);
    let left = books.inventory.iter().find(|inventory| inventory.product_id == product.id).unwrap();
    assert_eq!((left.stock, left.reserved), (0, 0));
}

#[tokio::test]
async fn twenty_clicks_at_once_make_one_order() {
    let shop = Shop::open(Settings { replicas: 2, ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 100).await;
    let buyer = shop.buyer();
    shop.put_in_cart(&buyer, product, 1).await;
    let clicks = join_all((0..20).map(|_| shop.check_out(&buyer, "London"))).await;
    assert!(clicks.iter().all(|click| *click == clicks[0]), "{clicks:?}");
    // All twenty were answered with the one order, which is what they should be.
    shop.witness().accounts.iter_mut().for_each(|account| account.acknowledged.dedup());
    assert_eq!(shop.settles().await.orders.len(), 1);
}

#[tokio::test]
async fn a_reply_that_is_lost_after_the_commit_makes_no_second_order_and_clears_the_cart_once() {
    let shop = Shop::open(Settings { attempts: "1", ..Settings::default() }).await;
    let (ordered, added) = (shop.product("Kettle", 1999, 100).await, shop.product("Lamp", 500, 100).await);
    let buyer = shop.buyer();
    shop.put_in_cart(&buyer, ordered, 2).await;
    let link = shop.member("cart").link("orders");
    let lost = link.trap(Trap { step: "call".to_owned(), nth: 1, moment: Moment::AnswerLost, kills: false });
    let first = shop.check_out_once(&buyer, "London").await;
    lost.notified().await;
    assert!(first.is_none_or(|status| status == 503), "{first:?}");
    let [order] = shop.orders(&buyer).await[..] else { panic!("one order was committed") };
    shop.put_in_cart(&buyer, added, 1).await;
    assert_eq!(shop.check_out(&buyer, "London").await, Outcome::Ordered(order));
    assert_eq!(shop.cart(&buyer).await, [(added.id, 1)]);
    assert_eq!(shop.settles().await.orders.len(), 1);
}

#[tokio::test]
async fn what_is_added_during_a_checkout_is_ordered_once_or_stays_in_the_cart() {
    let rounds = if deep() { 10_000 } else { 60 };
    let mut random = random("two tabs");
    let shop = Shop::open(Settings { replicas: 2, ..Settings::default() }).await;
    let (first, second) = (shop.product("Kettle", 1999, 100_000).await, shop.product("Lamp", 500, 100_000).await);
    let heads_start: Vec<_> = (0..rounds).map(|_| Duration::from_micros(random.random_range(0..6000))).collect();
    let races = stream::iter(heads_start).map(async |delay| {
        let buyer = shop.buyer();
        shop.put_in_cart(&buyer, first, 1).await;
        let add = json!({"productId": second.id, "quantity": 2});
        let other_tab = async {
            sleep(delay).await;
            // Once: an "add" that is sent again counts twice.
            shop.ask("cart", Method::POST, "/api/v1/cart", &buyer, Some(&add)).await.expect("nothing fails here")
        };
        let (outcome, (status, body)) = tokio::join!(shop.check_out(&buyer, "London"), other_tab);
        assert!(matches!(outcome, Outcome::Ordered(_)), "{outcome:?}");
        assert_eq!(status, 201, "{body}");
        (buyer.id, shop.cart(&buyer).await)
    });
    let left: HashMap<Uuid, Vec<(Uuid, u64)>> = races.buffer_unordered(8).collect().await;
    let books = shop.settles().await;
    for order in &books.orders {
        let ordered: i64 = books
            .lines
            .iter()
            .filter(|line| line.order_id == order.id && line.product_id == second.id)
            .map(|line| line.quantity)
            .sum();
        let kept: u64 = left[&order.user_id]
            .iter()
            .map(|(product, quantity)| {
                assert_eq!(*product, second.id, "what was ordered is out of the cart");
                *quantity
            })
            .sum();
        assert_eq!((ordered, kept), if ordered == 0 { (0, 2) } else { (2, 0) }, "order {}", order.id);
    }
    assert_eq!(books.orders.len(), rounds);
}
