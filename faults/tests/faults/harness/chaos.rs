//! Faults in an order that follows from a seed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use super::{
    link::{Link, Mode},
    shop::Shop,
};

/// Everything that a service connects to.
const NEEDS: [&str; 5] = ["postgres", "rabbitmq", "redis", "catalog", "orders"];

/// Whether the long campaigns are wanted.
pub fn deep() -> bool {
    std::env::var_os("SHOP_TEST_DEEP").is_some()
}

/// The choices of a run that is not deep: always the same, so that it is a change that makes it fail.
const USUAL: u64 = 11_973_792_147_453_344_221;

/// Random choices that can be had again.
pub fn random(test: &str) -> StdRng {
    let seed = match std::env::var("SHOP_TEST_SEED") {
        Ok(text) => text.parse().expect("SHOP_TEST_SEED is a number"),
        Err(_) if deep() => rand::random(),
        Err(_) => USUAL,
    };
    println!("{test}: SHOP_TEST_SEED={seed} makes the same choices again");
    StdRng::seed_from_u64(seed)
}

/// Lets one thing after the other fail until `over`, then heals all. Says how often each kind of thing did.
pub async fn torment(shop: &Shop, mut random: StdRng, over: &AtomicBool) -> BTreeMap<&'static str, usize> {
    let mut faults = BTreeMap::new();
    while !over.load(Ordering::Acquire) {
        *faults.entry(one_fault(shop, &mut random).await).or_default() += 1;
        pause(&mut random, 50..400).await;
    }
    shop.heal().await;
    faults
}

/// What it was.
async fn one_fault(shop: &Shop, random: &mut StdRng) -> &'static str {
    match random.random_range(0..10) {
        0..4 => {
            let member = shop.members.choose(random).expect("a shop has processes");
            member.kill();
            pause(random, 10..500).await;
            member.start();
            "killed"
        }
        4 => {
            shop.links(random_need(random)).for_each(Link::reset);
            "all connections reset"
        }
        5 => {
            during(Mode::Cut, shop.links(Some("rabbitmq")).collect(), random).await;
            "broker cut"
        }
        kind => {
            let links: Vec<_> = shop.links(None).collect();
            let link = *links.choose(random).expect("a shop has links");
            let (mode, name) = match kind {
                6 => (Mode::Cut, "link cut"),
                7 => (Mode::Stalled, "link stalled"),
                _ => (Mode::Slow(Duration::from_millis(random.random_range(10..200))), "link slowed"),
            };
            during(mode, vec![link], random).await;
            name
        }
    }
}

fn random_need(random: &mut StdRng) -> Option<&'static str> {
    NEEDS.choose(random).copied()
}

async fn during(mode: Mode, links: Vec<&Link>, random: &mut StdRng) {
    for link in &links {
        link.set(mode);
    }
    pause(random, 50..2000).await;
    for link in &links {
        link.set(Mode::Open);
    }
}

async fn pause(random: &mut StdRng, millis: std::ops::Range<u64>) {
    sleep(Duration::from_millis(random.random_range(millis))).await;
}
