//! Events late, twice, and not at all for a while.

use std::time::Duration;

use futures::future::join_all;
use shop_faults::Books;

use crate::harness::{link::Mode, member::Settings, shop::Shop};

/// Everything about an order that a repeated event must not change.
fn told(books: &Books) -> String {
    let money: Vec<_> = books.charges.iter().map(|charge| (charge.key, charge.amount_minor, &charge.entry)).collect();
    let parcels: Vec<_> = books.parcels.iter().map(|parcel| (parcel.key, &parcel.entry)).collect();
    let moves: Vec<_> = books.moves.iter().map(|step| (step.order_id, &step.status)).collect();
    format!("{moves:?} {money:?} {parcels:?} {:?}", books.inventory)
}

#[tokio::test]
async fn declined_lost_and_delivered_orders_end_where_they_should_and_every_event_once_more_changes_nothing() {
    let settings = Settings {
        payment_outcomes: Settings::DECLINED_ABOVE_40,
        delivery_outcomes: Settings::LOST_IN_ATLANTIS,
        ..Settings::default()
    };
    let shop = Shop::open(settings).await;
    let (cheap, dear) = (shop.product("Lamp", 500, 10).await, shop.product("Desk", 4200, 10).await);
    let (delivered, lost, declined) =
        tokio::join!(shop.order(cheap, "London"), shop.order(cheap, "Atlantis"), shop.order(dear, "London"));
    let before = shop.settles().await;
    for ((buyer, order), status, payment) in
        [(delivered, "DELIVERED", "paid"), (lost, "CANCELED", "refunded"), (declined, "CANCELED", "failed")]
    {
        let found = before.orders.iter().find(|found| found.id == order).unwrap();
        assert_eq!((found.status.as_str(), found.payment_status.as_str()), (status, payment));
        assert_eq!(found.user_id, buyer.id);
    }
    for product in [(cheap, 9), (dear, 10)] {
        let found = before.inventory.iter().find(|found| found.product_id == product.0.id).unwrap();
        assert_eq!((found.stock, found.reserved), (product.1, 0));
    }

    for service in ["order", "payment", "delivery", "product"] {
        // As after a relay that published everything and died before it marked a row.
        sqlx::query("UPDATE outbox SET sent_at = NULL").execute(shop.database(service)).await.unwrap();
    }
    let after = shop.settles().await;
    assert_eq!(told(&after), told(&before));
    assert_eq!(after.events.len(), before.events.len());
}

#[tokio::test]
async fn a_payment_that_comes_after_the_cancel_is_given_back() {
    let shop = Shop::open(Settings { payment_latency: "1s", ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let (buyer, order) = shop.order(product, "London").await;
    shop.becomes(&buyer, order, "PENDING").await;
    // Payment hears of the cancel only when it has captured.
    shop.member("payment").link("rabbitmq").set(Mode::Cut);
    assert!(shop.cancel(&buyer, order).await);
    let books = captured(&shop).await;
    assert_eq!(books, 1);
    shop.heal().await;
    let books = shop.settles().await;
    assert_eq!((books.orders[0].status.as_str(), books.orders[0].payment_status.as_str()), ("CANCELED", "refunded"));
    assert_eq!(books.charges[0].entry, "refunded");
}

/// Waits for the provider to have taken money.
async fn captured(shop: &Shop) -> i64 {
    shop_testing::eventually("the provider has the money", || async {
        let sql = "SELECT count(*) FROM mock_charges WHERE entry = 'captured'";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(shop.database("payment")).await.unwrap();
        if count > 0 { Ok(count) } else { Err("nothing".to_owned()) }
    })
    .await
}

#[tokio::test]
async fn a_broker_that_is_away_refuses_no_checkout_and_loses_no_event() {
    let shop = Shop::open(Settings { replicas: 2, ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 100).await;
    shop.links(Some("rabbitmq")).for_each(|link| link.set(Mode::Cut));
    for _ in 0..5 {
        // A few at a time: they all want the same product, and a request that waits too long for it is refused for that.
        let buyers: Vec<_> = (0..8).map(|_| shop.buyer()).collect();
        let statuses = join_all(buyers.iter().map(async |buyer| {
            shop.put_in_cart(buyer, product, 1).await;
            shop.check_out_once(buyer, "London").await
        }));
        assert_eq!(statuses.await, [Some(201); 8]);
    }
    // Gone, back for a moment, gone again: what was sent and not confirmed is sent once more.
    for mode in [Mode::Open, Mode::Slow(Duration::from_millis(50)), Mode::Cut] {
        shop.links(Some("rabbitmq")).for_each(|link| link.set(mode));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    shop.heal().await;
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 40);
}
