//! Orders, and what becomes of each: it is delivered, declined, never paid or brought back, in the Shop's own time.

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use shop_e2e::purchase::{DELIVERED, Receipt};
use shop_e2e::shop::{LONDON, Order};
use shop_e2e::{Seen, wait_for};
use shopkeeper_testing::{SHOP, Scene};
use tokio::io::AsyncReadExt as _;

use super::PATIENCE;
use super::guests::Guests;
use super::sights::Sights;
use super::wishes::{ATLANTIS, CURRENCY, DELIVERY, NEVER_PAID, PAYMENT, TOO_DEAR, UNPAID_EXPIRY};

const CANCELED: &str = "CANCELED";
/// What is late is late by less.
const LATE: f64 = 60.0;
/// How often each payment was asked for, by which it was, without those that fail for ever.
const CHARGES: &str = "SELECT nth, attempt FROM mock_calls JOIN payments ON payments.id = key \
                       WHERE amount_minor NOT BETWEEN 100001 AND 1000000 ORDER BY nth";
/// The same of parcels.
const PARCELS: &str = "SELECT nth, attempt FROM mock_calls ORDER BY nth";

pub async fn take_their_course(scene: &Scene, guests: &Guests, sights: &Sights) {
    the_cart_knows_the_product(guests).await;
    let usual = order(guests, 1, LONDON).await;
    let second = order(guests, 1, LONDON).await;
    let dear = order(guests, TOO_DEAR, LONDON).await;
    let unpaid = order(guests, NEVER_PAID, LONDON).await;
    let id = &unpaid.checkout.order_id;
    let reserved =
        format!("SELECT extract(epoch FROM expires_at - updated_at)::bigint FROM reservations WHERE order_id = '{id}'");
    sights.same("orders.reservation", ask(scene, "product", &reserved).await.trim(), "3600");
    let lost = order(guests, 1, ATLANTIS).await;

    let visit = &guests.visit;
    let (usual, second, dear, unpaid, lost) = tokio::join!(
        visit.follow(&usual, DELIVERED),
        visit.follow(&second, DELIVERED),
        visit.follow(&dear, CANCELED),
        visit.follow(&unpaid, CANCELED),
        visit.follow(&lost, CANCELED),
    );
    let (usual, dear) = (usual.expect("a delivery"), dear.expect("an end"));
    let (unpaid, lost) = (unpaid.expect("an end"), lost.expect("an end"));
    second.expect("a delivery");
    // Two of them: there was one in the cart already.
    let paid = (usual.currency.as_str(), usual.total_amount.to_string());
    sights.same("currency", paid, (CURRENCY, "2.01".to_owned()));
    sights.within("payment.mock.latency", seconds(&usual, "CREATED", "PAID"), &(PAYMENT..=LATE));
    sights.within("delivery.mock.latency", seconds(&usual, "PAID", DELIVERED), &(DELIVERY..=LATE));
    sights.within("orders.unpaidExpiry", seconds(&unpaid, "CREATED", CANCELED), &(UNPAID_EXPIRY..=LATE));
    let fields = "payment.mock.outcomes[].then payment.mock.outcomes[].when.amountAbove";
    sights.same(fields, fate(&dear, "PAID"), (false, "payment_failed"));
    let fields = "delivery.mock.outcomes[].then delivery.mock.outcomes[].when.city";
    sights.same(fields, fate(&lost, "SHIPPED"), (true, "delivery_failed"));
    every_other_one_fails_once(scene, sights).await;
}

/// Puts one into the cart. Half of the calls to the catalog fail; once one did not, the cart knows what it costs.
async fn the_cart_knows_the_product(guests: &Guests) {
    let added = wait_for("the product is in the cart", PATIENCE, async || {
        let answer = guests.visit.shop.add_to_cart(&guests.buyer, &guests.stall.product, 1).await?;
        Ok(if answer.status.is_success() { Seen::Done(()) } else { Seen::NotYet(answer.body) })
    });
    added.await.expect("a cart");
}

/// Puts more into the cart and buys all of it.
async fn order(guests: &Guests, quantity: u32, city: &str) -> Receipt {
    guests.visit.buy(&guests.stall, &guests.buyer, quantity, city).await.expect("a checkout")
}

/// From one state to another.
fn seconds(order: &Order, from: &str, to: &str) -> f64 {
    let at = |status: &str| {
        let moved = order.history.iter().find(|moved| moved.status == status);
        moved.unwrap_or_else(|| panic!("it was never {status}: {order:?}")).at
    };
    at(to).duration_since(at(from)).as_secs_f64()
}

/// Whether an order came by a state, and why it ended.
fn fate<'a>(order: &'a Order, station: &str) -> (bool, &'a str) {
    let came_by = order.history.iter().any(|moved| moved.status == station);
    let end = order.history.last().and_then(|moved| moved.reason.as_deref());
    (came_by, end.unwrap_or_default())
}

/// What the mock providers have written down of those who asked them.
async fn every_other_one_fails_once(scene: &Scene, sights: &Sights) {
    for (database, question, fields) in [
        ("payment", CHARGES, "payment.mock.outcomes[].times payment.mock.outcomes[].when.everyNth"),
        ("delivery", PARCELS, "delivery.mock.outcomes[].times delivery.mock.outcomes[].when.everyNth"),
    ] {
        let calls = ask(scene, database, question).await;
        let calls: Vec<(u32, u32)> = calls.lines().filter_map(numbers).collect();
        let times = |nth: u32| if nth.is_multiple_of(2) { 2 } else { 1 };
        let wanted: Vec<(u32, u32)> = calls.iter().map(|(nth, _)| (*nth, times(*nth))).collect();
        assert!(wanted.iter().any(|(_, calls)| *calls == 2), "{database} was asked by too few: {calls:?}");
        sights.same(fields, calls, wanted);
    }
}

/// The two numbers of a line.
fn numbers(line: &str) -> Option<(u32, u32)> {
    let (nth, calls) = line.split_once(' ')?;
    Some((nth.parse().ok()?, calls.parse().ok()?))
}

/// What PostgreSQL says to its superuser, who needs no password inside of the pod.
async fn ask(scene: &Scene, database: &str, question: &str) -> String {
    let psql = ["psql", "--username=postgres", "--no-align", "--tuples-only", "--field-separator= ", "--dbname"];
    let command: Vec<&str> = psql.into_iter().chain([database, "--command", question]).collect();
    let pods = scene.api::<Pod>();
    let asked = pods.exec(&format!("{SHOP}-postgres-0"), command, &AttachParams::default().stderr(false)).await;
    let mut asked = asked.expect("psql runs");
    let mut said = String::new();
    asked.stdout().expect("its output").read_to_string(&mut said).await.expect("text");
    asked.join().await.expect("psql ends");
    said
}
