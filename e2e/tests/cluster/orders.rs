//! Orders, from the cart to the door.

use reqwest::StatusCode;

use shop_e2e::{purchase::DELIVERED, shop::LONDON};

use crate::{stall, visit};

#[tokio::test]
async fn a_purchase_goes_through_every_state_to_delivered() {
    let visit = visit().await;
    let buyer = visit.sign_up().await.expect("a buyer signs up");
    let receipt = visit.buy(stall(&visit).await, &buyer, 2, LONDON).await.expect("the checkout succeeds");
    let order = visit.follow(&receipt, DELIVERED).await.expect("the order is delivered");
    let mut states: Vec<&str> = order.history.iter().map(|moved| moved.status.as_str()).collect();
    // Payment says `pending` and `succeeded` within moments; the second may overtake the first.
    states.retain(|state| *state != "PENDING");
    assert_eq!(states, ["CREATED", "PAID", "SHIPPED", "DELIVERED"]);
    assert_eq!(order.total_amount.as_f64(), Some(39.98), "two at the catalog's price");
}

#[tokio::test]
async fn two_checkouts_of_one_cart_make_one_order() {
    let visit = visit().await;
    let buyer = visit.sign_up().await.expect("a buyer signs up");
    let product = &stall(&visit).await.product;
    visit.shop.add_to_cart(&buyer, product, 1).await.expect("an answer").ok().expect("the cart is filled");

    let (first, second) = tokio::join!(visit.shop.checkout(&buyer, LONDON), visit.shop.checkout(&buyer, LONDON));
    let mut made = Vec::new();
    for answer in [first.expect("an answer"), second.expect("an answer")] {
        match answer.status {
            StatusCode::CREATED => made.push(answer.ok().expect("a checkout").order_id),
            // Too late: the cart is empty, or the first is still running.
            status => assert!([StatusCode::BAD_REQUEST, StatusCode::CONFLICT].contains(&status), "{answer:?}"),
        }
    }
    made.dedup();
    assert_eq!(made.len(), 1, "every checkout that succeeded names the same order");
    let orders = visit.shop.orders(&buyer).await.expect("an answer").ok().expect("the buyer's orders");
    assert_eq!(orders.total, 1);
}
