//! A share of the calls goes to another version, and no call is lost for it.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use shop_config::{Canary, Peer};

use crate::harness::{Caller, Catalog, Mood, away, patiently, until};

const WEIGHT: &str = "mesh_canary_weight{caller=\"cart\",service=\"product\"}";
const ENDPOINTS: &str = "mesh_canary_endpoints{caller=\"cart\",service=\"product\"}";
const TRIES: &str = "mesh_canary_tries_total{caller=\"cart\",service=\"product\"}";
const RETRIES: &str = "mesh_retries_total{caller=\"cart\",service=\"product\"}";

/// The file that a kubelet would write; it goes with the test.
struct Weight(PathBuf);

impl Weight {
    fn of(percent: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("shopkeeper-weight-{}-{number}", std::process::id());
        let weight = Self(std::env::temp_dir().join(name));
        weight.becomes(percent);
        weight
    }

    fn becomes(&self, percent: &str) {
        // As a kubelet does it: nobody reads half of it.
        let part = self.0.with_extension("part");
        fs::write(&part, percent).unwrap();
        fs::rename(&part, &self.0).unwrap();
    }

    fn settings(&self) -> Peer {
        let canary = Canary { url: "http://canary:9090".to_owned(), weight_file: self.0.clone() };
        Peer { canary: Some(canary), ..patiently() }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

/// A caller that knows of both, and of the weight.
async fn caller(stable: &Catalog, canary: &Catalog, weight: &Weight, percent: u64) -> Caller {
    let caller = Caller::of([stable.address], &weight.settings());
    caller.canary.set([canary.address]);
    until("the canary is known", || caller.metric(WEIGHT) == percent && caller.metric(ENDPOINTS) == 1).await;
    caller
}

#[tokio::test]
async fn a_canary_gets_its_share_of_the_calls_and_the_others_get_the_rest() {
    let (stable, canary) = (Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await);
    let weight = Weight::of("20\n");
    let caller = caller(&stable, &canary, &weight, 20).await;
    assert_eq!(caller.ask_often(2000).await, 2000);
    // Chance makes it 400, give or take 18.
    assert!((250..550).contains(&canary.arrived()), "{} of 2000", canary.arrived());
    assert_eq!(stable.arrived() + canary.arrived(), 2000);
    assert_eq!(caller.metric(TRIES), canary.arrived() as u64);
}

#[tokio::test]
async fn another_share_is_taken_up_while_calls_are_made() {
    let (stable, canary) = (Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await);
    let weight = Weight::of("100");
    let caller = caller(&stable, &canary, &weight, 100).await;
    assert_eq!(caller.ask_often(100).await, 100);
    assert_eq!((stable.arrived(), canary.arrived()), (0, 100));
    for nothing in ["0", "a lot"] {
        weight.becomes(nothing);
        until("nothing goes there", || caller.metric(WEIGHT) == 0 && caller.metric(ENDPOINTS) == 0).await;
        assert_eq!(caller.ask_often(100).await, 100);
        assert_eq!(canary.arrived(), 100, "{nothing}");
        weight.becomes("50");
        until("it is back", || caller.metric(WEIGHT) == 50 && caller.metric(ENDPOINTS) == 1).await;
    }
}

#[tokio::test]
async fn calls_go_to_the_others_while_a_canary_has_no_pod() {
    let (stable, canary) = (Catalog::start(Mood::Good).await, Catalog::start(Mood::Good).await);
    let weight = Weight::of("100");
    let caller = caller(&stable, &canary, &weight, 100).await;
    caller.canary.set([]);
    until("its pod is forgotten", || caller.metric(ENDPOINTS) == 0).await;
    assert_eq!(caller.ask_often(100).await, 100);
    assert_eq!((stable.arrived(), canary.arrived()), (100, 0));
}

#[tokio::test]
async fn what_a_canary_does_not_answer_the_others_do_and_it_is_left_alone() {
    let (stable, canary) = (Catalog::start(Mood::Good).await, Catalog::start(away()).await);
    let weight = Weight::of("10");
    let caller = caller(&stable, &canary, &weight, 10).await;
    assert_eq!(caller.ask_often(1000).await, 1000, "nobody notices");
    assert_eq!(stable.arrived(), 1000);
    assert_eq!(caller.metric(RETRIES), canary.arrived() as u64, "each of its calls is made again once");
    assert!(canary.arrived() < 50, "{} of about 100 tries", canary.arrived());
}
