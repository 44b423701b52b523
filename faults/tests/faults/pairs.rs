//! Each pair of parts with slow, lost or no connections between them, while orders are made.

use std::time::Duration;

use rand::seq::IndexedRandom as _;
use tokio::time::sleep;

use crate::harness::{
    chaos::{deep, random},
    link::Mode,
    member::Settings,
    shop::Shop,
};

/// How many in the normal run.
const CHOICE: usize = 5;
/// How long a fault lasts.
const WHILE: Duration = Duration::from_secs(2);

/// What can happen to a connection.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Late,
    Silent,
    Gone,
    /// Every connection breaks off after a moment.
    Broken,
}

#[tokio::test]
async fn whatever_happens_between_any_two_parts_orders_stay_right_and_come_to_their_end() {
    let mut random = random("pairs");
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    let links: Vec<_> =
        shop.members.iter().flat_map(|member| member.links.iter().map(move |link| (member, link))).collect();
    let weathers = [Weather::Late, Weather::Silent, Weather::Gone, Weather::Broken];
    let cases: Vec<_> = links.iter().flat_map(|pair| weathers.map(|weather| (*pair, weather))).collect();
    let choice = if deep() { cases.len() } else { CHOICE };
    for ((member, link), weather) in cases.sample(&mut random, choice) {
        println!("{} - {}: {weather:?}", member.service, link.to);
        let meanwhile = async {
            match weather {
                Weather::Late => link.set(Mode::Slow(Duration::from_millis(500))),
                Weather::Silent => link.set(Mode::Stalled),
                Weather::Gone => link.set(Mode::Cut),
                Weather::Broken => {
                    for _ in 0..20 {
                        link.reset();
                        sleep(WHILE / 20).await;
                    }
                    return;
                }
            }
            sleep(WHILE).await;
            link.set(Mode::Open);
        };
        tokio::join!(shop.order(product, "London"), shop.order(product, "London"), meanwhile);
    }
    let books = shop.settles().await;
    let (orders, delivered) =
        (books.orders.len(), books.orders.iter().filter(|order| order.status == "DELIVERED").count());
    assert_eq!((orders, delivered), (choice * 2, choice * 2));
}
