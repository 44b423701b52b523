//! Many orders, many faults.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::stream::{self, StreamExt as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shop_auth::Role;
use shop_faults::strangers_read;
use tokio::time::sleep;

use crate::harness::{
    buyer::{Outcome, Person, Product},
    chaos::{deep, random, torment},
    member::Settings,
    shop::Shop,
};

const BUYERS_AT_ONCE: usize = 16;
/// Parcels to it are lost.
const NOWHERE: &str = "Atlantis";
/// Orders that are read as a stranger.
const SAMPLE: usize = 50;

/// What one buyer does, decided before it begins.
#[derive(Clone, Copy)]
struct Wish {
    product: usize,
    quantity: u32,
    city: &'static str,
    /// The buyer changes their mind after this time.
    regret: Option<Duration>,
}

impl Wish {
    fn random(random: &mut StdRng, products: usize) -> Self {
        Self {
            product: random.random_range(0..products),
            quantity: random.random_range(1..=3),
            city: if random.random_ratio(1, 10) { NOWHERE } else { "London" },
            regret: random.random_ratio(1, 8).then(|| Duration::from_millis(random.random_range(0..300))),
        }
    }

    async fn come_true(self, shop: &Shop, products: &[Product]) -> Option<Person> {
        let buyer = shop.buyer();
        let Outcome::Ordered(order) = shop.buy(&buyer, products[self.product], self.quantity, self.city).await else {
            return None;
        };
        if let Some(after) = self.regret {
            sleep(after).await;
            shop.cancel(&buyer, order).await;
        }
        Some(buyer)
    }
}

#[tokio::test]
async fn no_invariant_breaks_while_everything_fails_around_many_orders() {
    let mut random = random("campaign");
    let orders = if deep() { 11_000 } else { 150 };
    let settings = Settings {
        replicas: 2,
        unpaid_expiry: "60s",
        payment_outcomes: Settings::DECLINED_ABOVE_40,
        delivery_outcomes: Settings::LOST_IN_ATLANTIS,
        delivery_latency: "100ms",
        ..Settings::default()
    };
    let shop = Shop::open(settings).await;
    // Enough for most: somebody finds the last one sold.
    let stock = i64::from(orders);
    let products = [
        shop.product("Kettle", 1999, stock / 2).await,
        shop.product("Lamp", 500, stock).await,
        shop.product("Desk", 4200, stock).await,
    ];
    let wishes: Vec<_> = (0..orders).map(|_| Wish::random(&mut random, products.len())).collect();

    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let buying = async {
        let wishes = stream::iter(wishes);
        wishes
            .for_each_concurrent(BUYERS_AT_ONCE, async |wish| {
                if wish.come_true(&shop, &products).await.is_some() {
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
            .await;
        over.store(true, Ordering::Release);
    };
    let ((), faults) = tokio::join!(buying, torment(&shop, StdRng::from_rng(&mut random), &over));

    let books = shop.settles().await;
    let count = |status: &str| books.orders.iter().filter(|order| order.status == status).count();
    let (delivered, canceled) = (count("DELIVERED"), count("CANCELED"));
    println!(
        "{orders} checkouts, {} faults {faults:?}: {} acknowledged, {delivered} delivered, {canceled} canceled, {} events",
        faults.values().sum::<usize>(),
        made.load(Ordering::Relaxed),
        books.events.len(),
    );
    assert!(delivered > 0 && canceled > 0, "the campaign is meant to see both ends");
    let stranger = shop.person(&[Role::Buyer, Role::Seller]);
    let sample: Vec<_> = books.orders.iter().take(SAMPLE).map(|order| order.id).collect();
    let read = strangers_read(&shop.member("order").url(""), &stranger.token, &sample).await.unwrap();
    assert_eq!(read, []);
}
