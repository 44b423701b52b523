//! Clocks that jump, and clocks that differ: those of processes, which are the injected ones, and those of databases. What a
//! token says of time is read by the clock of the machine, and tested in `crates/auth`.

use futures::future::join_all;
use jiff::SignedDuration;
use shop_testing::eventually;
use uuid::Uuid;

use crate::harness::{
    buyer::{Outcome, Person, Product},
    link::{Mode, Moment, Trap},
    member::Settings,
    shop::{DATABASES, Shop},
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Further than anything is kept, and than anything waits.
const YEARS: SignedDuration = SignedDuration::from_hours(3 * 365 * 24);

/// The services run in here too, on threads of their own. Stock is reserved, money captured and a parcel on its way for
/// longer than the pause after which somebody with another clock looks for work.
fn settings() -> Settings {
    Settings {
        replicas: 2,
        own_clocks: true,
        payment_latency: "1500ms",
        delivery_latency: "1500ms",
        ..Settings::default()
    }
}

async fn three_orders(shop: &Shop, product: Product) -> Vec<(Person, Uuid)> {
    join_all((0..3).map(|_| shop.order(product, "London"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_years_off_holds_up_no_order_loses_none_and_does_nothing_twice() {
    let shop = Shop::open(settings()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    let mut orders = 0;
    for service in ["product", "payment", "order", "delivery", "cart"] {
        for jump in [YEARS, -YEARS] {
            let clock = shop.member(service).clock();
            // Some are on their way when the clock jumps there, and some when it jumps back.
            let mut placed = three_orders(&shop, product).await;
            clock.jump(jump);
            placed.extend(three_orders(&shop, product).await);
            join_all(placed[..3].iter().map(|(buyer, order)| shop.becomes(buyer, *order, "DELIVERED"))).await;
            clock.jump(-jump);
            join_all(placed[3..].iter().map(|(buyer, order)| shop.becomes(buyer, *order, "DELIVERED"))).await;
            orders += placed.len();
        }
    }
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_which_no_two_agree_on_the_year_make_orders_as_any_others() {
    let shop = Shop::open(settings()).await;
    for (years, member) in (-4..).zip(&shop.members) {
        member.clock().jump(YEARS * years);
    }
    let product = shop.product("Kettle", 1999, 15).await;
    for _ in 0..5 {
        three_orders(&shop, product).await;
    }
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_whose_clocks_are_an_hour_apart_end_orders_early_or_late_and_break_none() {
    let shop = Shop::open(settings()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    for service in DATABASES {
        for jump in [HOUR, -HOUR] {
            three_orders(&shop, product).await;
            shop.jump(service, jump).await;
            three_orders(&shop, product).await;
            shop.jump(service, -jump).await;
        }
    }
    // What a clock that was ahead has put off is due by now.
    for service in DATABASES {
        shop.jump(service, HOUR).await;
    }
    assert_eq!(shop.settles().await.orders.len(), 48);
}

#[tokio::test]
async fn an_order_that_is_delivered_before_product_hears_that_it_is_paid_has_its_stock() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 3).await;
    let broker = shop.member("product").link("rabbitmq");
    broker.set(Mode::Cut);
    let orders = three_orders(&shop, product).await;
    join_all(orders.iter().map(|(buyer, order)| shop.becomes(buyer, *order, "DELIVERED"))).await;
    shop.jump("product", HOUR).await;
    eventually("what became of them is asked", || async {
        let query = "SELECT count(*) FROM outbox WHERE routing_key = 'inventory.unclaimed'";
        let asked: i64 = sqlx::query_scalar(query).fetch_one(shop.database("product")).await.unwrap();
        if asked == 3 { Ok(()) } else { Err(format!("{asked} questions")) }
    })
    .await;
    let refused = shop.buy(&shop.buyer(), product, 1, "London").await;
    assert_eq!(refused, Outcome::Refused("out_of_stock".to_owned()));

    broker.set(Mode::Open);
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 3);
}

#[tokio::test]
async fn stock_of_a_checkout_that_died_before_its_order_goes_back_and_the_next_checkout_has_it() {
    let shop = Shop::open(Settings::default()).await;
    let (product, buyer) = (shop.product("Kettle", 1999, 1).await, shop.buyer());
    shop.put_in_cart(&buyer, product, 1).await;
    let order = shop.member("order");
    let trap = Trap { step: "call".to_owned(), nth: 1, moment: Moment::AnswerLost, kills: true };
    let died = order.link("catalog").trap(trap);
    assert_ne!(shop.check_out_once(&buyer, "London").await, Some(201));
    died.notified().await;
    shop.heal().await;
    shop.jump("product", HOUR).await;
    shop.settles().await;

    assert_eq!(shop.check_out(&buyer, "London").await, Outcome::Refused("checkout_expired".to_owned()));
    // Until nobody can hear of the first call any more, it stays with its id.
    let order = eventually("a checkout makes an order", || async {
        match shop.check_out(&buyer, "London").await {
            Outcome::Ordered(order) => Ok(order),
            Outcome::Refused(code) => Err(code),
        }
    })
    .await;
    shop.becomes(&buyer, order, "DELIVERED").await;
    shop.settles().await;
}
