//! Clocks that jump, and clocks that differ. Every clock here is the injected one; what a token says of time is read by the
//! clock of the machine, and tested in `crates/auth`.

use futures::future::join_all;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::harness::{
    buyer::{Person, Product},
    member::Settings,
    shop::Shop,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn settings() -> Settings {
    Settings { replicas: 2, own_clocks: true, delivery_latency: "100ms", ..Settings::default() }
}

async fn three_orders(shop: &Shop, product: Product) -> Vec<(Person, Uuid)> {
    join_all((0..3).map(|_| shop.order(product, "London"))).await
}

// The services run in here too, on threads of their own. Payment and product are left out: ARCHITECTURE.md says what a clock
// of theirs that is an hour off can do.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_delivery_or_cart_clock_that_jumps_by_an_hour_loses_no_order_and_does_nothing_twice() {
    let shop = Shop::open(settings()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    let mut unharmed = Vec::new();
    for service in ["order", "delivery", "cart"] {
        for jump in [HOUR, -HOUR] {
            let clock = shop.member(service).clock();
            three_orders(&shop, product).await;
            clock.jump(jump);
            let meanwhile = three_orders(&shop, product).await;
            clock.jump(-jump);
            let afterwards = three_orders(&shop, product).await;
            join_all(afterwards.iter().map(|(buyer, order)| shop.becomes(buyer, *order, "DELIVERED"))).await;
            // By order's other clock one may have expired.
            if service != "order" {
                unharmed.extend(meanwhile);
            }
        }
    }
    // What a clock that was ahead has put off is due by now.
    shop.members.iter().for_each(|member| member.clock().jump(HOUR));
    assert_eq!(shop.settles().await.orders.len(), 54);
    for (buyer, order) in unharmed {
        assert_eq!(shop.status(&buyer, order).await, "DELIVERED", "order {order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_less_than_reservations_outlive_orders_change_nothing() {
    let shop = Shop::open(settings()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    // A reservation lives 20 minutes longer than an unpaid order, and payment captures for ten minutes.
    for (service, minutes) in [("product", 15), ("payment", 5), ("delivery", -60), ("cart", 60)] {
        for member in shop.replicas(service) {
            member.clock().jump(SignedDuration::from_mins(minutes));
        }
    }
    for _ in 0..5 {
        three_orders(&shop, product).await;
    }
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 15);
}
