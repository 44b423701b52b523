//! Calls between services, as cart measures those that it makes: how long it waits, how often it tries, what goes wrong
//! on purpose, and what goes to a canary.

use std::collections::BTreeSet;

use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use shop_e2e::shop::{Call, LONDON};
use shop_e2e::{Seen, wait_for};
use shopkeeper_testing::Scene;

use super::PATIENCE;
use super::guests::Guests;
use super::sights::Sights;
use super::wishes::{self, CANARY_WEIGHT, CERTIFICATE_LIFETIME, RETRIES};
use crate::rotation::files_are_swapped;

const ADMIN_PORT: u16 = 8081;
const TO_PRODUCT: &str = "service=\"product\"";
const TO_ORDER: &str = "service=\"order\"";
const CALLS: &str = "rpc_client_call_duration_seconds_count";
const ANSWERED: &str = "code=\"OK\"";
const FAILED: &str = "code=\"UNAVAILABLE\"";

/// The catalog's canary gets its share of the calls, and is of the version that it should be.
pub async fn reach_the_canary(scene: &Scene, guests: &Guests, sights: &Sights) {
    scene.until_shop("CanaryPromoted", "False", Some("Progressing")).await;
    files_are_swapped(scene, "cart").await;
    let share = wait_for("the canary's share", PATIENCE, async || {
        let share = sum(&measured(guests).await?, "mesh_canary_weight", &[TO_PRODUCT]);
        Ok(if share == 0 { Seen::NotYet("no share".to_owned()) } else { Seen::Done(share) })
    });
    sights.same("services.*.canary.weight", share.await.expect("a share"), CANARY_WEIGHT);
    let pod = scene.pods("product-canary").await.pop_first().expect("a pod");
    let pod: Pod = scene.api().get(&pod).await.expect("the pod");
    let image = pod.spec.and_then(|spec| spec.containers.into_iter().next()?.image);
    let wanted = format!("{}/product:{}", wishes::registry(scene), scene.settings.version);
    sights.same("services.*.canary.version", image, Some(wanted));
}

/// Every other call to the catalog fails, and is not made again. Who looks into the cart then finds the last known prices.
pub async fn fail_every_other_time(guests: &Guests, sights: &Sights) {
    let added = guests.visit.shop.add_to_cart(&guests.buyer, &guests.stall.product, 1).await;
    added.expect("an answer").ok().expect("a cart");
    let mut found = BTreeSet::new();
    let both = wait_for("a cart with prices of today, and one with the last known", PATIENCE, async || {
        let cart = look_into_the_cart(guests).await?;
        found.insert(is_stale(&cart));
        Ok(if found.len() == 2 { Seen::Done(()) } else { Seen::NotYet(cart.to_string()) })
    });
    both.await.expect("calls that fail, and calls that do not");

    let metrics = measured(guests).await.expect("metrics");
    let calls = |outcome: &str| sum(&metrics, CALLS, &[TO_PRODUCT, outcome]) > 0;
    let fields = "mesh.edges.*.faults.percent mesh.edges.*.faults.error";
    sights.same(fields, (calls(FAILED), calls(ANSWERED)), (true, true));
    let retries = sum(&metrics, "mesh_retries_total", &[TO_PRODUCT]);
    let left_out = sum(&metrics, "mesh_retry_budget_exhausted_total", &[TO_PRODUCT]);
    sights.same("mesh.edges.*.retries.budget", (retries, left_out > 0), (0, true));
    let left = sum(&metrics, "mesh_certificate_expiry_seconds", &[]) - Timestamp::now().as_second();
    // It is renewed when a third of it is left.
    sights.within("mesh.certificateLifetime", left, &(CERTIFICATE_LIFETIME / 4..=CERTIFICATE_LIFETIME));
}

/// No call to the catalog gets there, and order takes too long.
pub async fn end_when_they_should(guests: &Guests, sights: &Sights) {
    let cart = look_into_the_cart(guests).await.expect("a cart");
    assert!(is_stale(&cart), "nobody can have told what it costs: {cart}");
    let refused = guests.visit.shop.checkout(&guests.buyer, LONDON).await.expect("an answer");
    assert!(refused.status.is_server_error(), "order had no time to answer: {refused:?}");

    let metrics = measured(guests).await.expect("metrics");
    let calls = |outcome: &str| sum(&metrics, CALLS, &[TO_PRODUCT, outcome]);
    sights.same("mesh.edges.*.faults.reset", (calls(FAILED) > 0, calls(ANSWERED)), (true, 0));
    let fields = "mesh.edges.*.timeout mesh.edges.*.retries.attempts mesh.edges.*.retries.perTryTimeout \
                  mesh.edges.*.faults.delay";
    sights.same(fields, sum(&metrics, "mesh_retries_total", &[TO_ORDER]), RETRIES);
}

async fn look_into_the_cart(guests: &Guests) -> anyhow::Result<Value> {
    guests.visit.shop.send::<Value>(Call::new(Method::GET, "/api/v1/cart/").by(&guests.buyer)).await?.ok()
}

/// Whether the catalog could not be asked.
fn is_stale(cart: &Value) -> bool {
    cart["items"][0]["stale"] == true
}

async fn measured(guests: &Guests) -> anyhow::Result<String> {
    guests.visit.cluster.ask("cart", ADMIN_PORT, "/metrics").await
}

/// What the samples of a metric with these labels add up to.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> i64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split_once(' '));
    let wanted = samples
        .filter(|(of, _)| (of.is_empty() || of.starts_with('{')) && labels.iter().all(|label| of.contains(label)));
    wanted.filter_map(|(_, value)| value.split(' ').next()?.parse::<i64>().ok()).sum()
}
